-- projection: upcast
-- topic: t
-- version: $.meta.v
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A
SELECT json_set(@value, '$.meta.v', 1)
-- upcast: A v1
WITH old AS (SELECT :n AS n) SELECT json_set(@value, '$.meta.v', 2, '$.n', n * 100) FROM old;
-- on: A
INSERT INTO a VALUES (:id, $meta::v);
-- upcast: Order void
VALUES (@value);
-- upcast: "Order v2"
SELECT @value;
-- upcast: "tombstone" v2024-01
SELECT @value;
-- on: B
DELETE FROM a;
