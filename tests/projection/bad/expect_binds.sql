-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- given: {"type": "A", "id": "x"}
-- expect: SELECT n FROM a WHERE id = :id
