-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, 1);

-- alert: low
SELECT id, n FROM a WHERE n < 0;
SELECT 1;
