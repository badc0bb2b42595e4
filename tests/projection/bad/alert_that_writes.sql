-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, 1);

-- alert: low
UPDATE a SET n = 0;
