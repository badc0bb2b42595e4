-- projection: windows
-- topic: t
-- type: $.type

CREATE TABLE t (id TEXT PRIMARY KEY);

-- on: A
DELETE FROM t
WHERE id = :id;
