-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, 1);

-- on: Withdrawn
UPDATE a SET n = n - :amount WHERE id = :id;

-- on: tombstone
DELETE FROM a WHERE id = @key;

-- emit: overdrafts on Withdrawn
SELECT id AS key, json_object('n', n) AS value FROM a WHERE id = :id AND n < 0;

-- emit: all
WITH one AS (SELECT * FROM a WHERE id = $who::id)
SELECT id AS key, n AS value, @timestamp AS timestamp, 0 AS partition, json_object('from', @offset) AS headers FROM one;

-- emit: gone on tombstone, "A"
SELECT @key AS key, NULL AS value;
