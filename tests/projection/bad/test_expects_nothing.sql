-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- test: nothing is asked
-- given: {"type": "A"}
-- test: something is
-- expect: SELECT 1
