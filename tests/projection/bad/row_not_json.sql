-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- expect: SELECT id, n FROM a
-- = "x", 1
