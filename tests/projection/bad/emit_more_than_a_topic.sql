-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, 1);

-- emit: out for A
SELECT id AS key, n AS value FROM a;
