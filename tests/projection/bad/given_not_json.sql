-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- given: {"type": "A", é: 1}
-- expect: SELECT 1
