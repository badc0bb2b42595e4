-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- invariant: nothing is checked
-- given: {"type": "A"}
-- expect: SELECT 1
