-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- given: {"type": "A"}
-- expect: SELECT count(*) = 0 FROM a
SELECT 2;
