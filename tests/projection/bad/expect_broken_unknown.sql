-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
DELETE FROM a;

-- invariant: n is positive
SELECT id FROM a WHERE n <= 0;
-- expect broken: n is positiv
