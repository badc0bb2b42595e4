-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, 1);

-- alert: low
SELECT id, n FROM a WHERE id = :id AND n < $least::n;

-- alert: too many
SELECT count(*) AS n FROM a HAVING count(*) > 100;

-- emit: out
SELECT id AS key, n AS value FROM a WHERE id = :id;
