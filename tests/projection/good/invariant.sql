-- projection: invariant
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- invariant: n is positive: always
SELECT id, n FROM a WHERE n <= 0
-- on: A
INSERT INTO a VALUES (:id, :n);
-- invariant: an event counts once
WITH seen AS (SELECT count(*) AS n FROM a WHERE id = $meta::id) SELECT @offset FROM seen WHERE n > 1;
-- on: *
DELETE FROM a;
-- given: {"type": "A", "id": "a", "n": 0}
-- expect broken: n is positive: always
