-- Whatever stands below the first test is about tests.
-- projection: tests
-- topic: t
-- type: $.type
-- ==========================
CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
INSERT INTO a VALUES (:id, :n) ON CONFLICT DO UPDATE SET n = n + excluded.n;

-- given: {"type": "A", "id": "x", "n": 1}
-- given: null
-- expect: SELECT n = 1 FROM a WHERE id = 'x; -- y' OR ('a') = "b"; -- done
-- given: {"type": "A"}
-- expect poison: NOT NULL
-- ==========================
-- expect: WITH b AS (SELECT 1 AS n) SELECT n FROM b

-- test: a name: with a colon
-- expect: VALUES (1, 2)
-- = [1, 2]
-- given envelope: {"key": "k", "value": null}
-- expect:
SELECT id, n
FROM a -- a comment
ORDER BY n
-- =["a", 10.5]
--   = [null, {"blob": "00ff"}]
-- a remark
-- expect: SELECT 1 WHERE 0
-- = no rows
-- expect: SELECT 'text'
-- = "text"
