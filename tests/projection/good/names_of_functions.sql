-- Tables may be called as functions are.
-- projection: names_of_functions
-- topic: t
-- type: $.type

CREATE TABLE changes (id TEXT PRIMARY KEY, random INTEGER DEFAULT 0) STRICT;
CREATE TABLE IF NOT EXISTS date (id TEXT PRIMARY KEY, at DATE(10), FOREIGN KEY (id) REFERENCES changes (id));
CREATE INDEX time ON changes (random);

-- on: A
INSERT INTO changes (id) VALUES (:id);
INSERT OR REPLACE INTO main.changes (id, random) VALUES (:id, 1);
WITH changes (n) AS (SELECT 1), random(x) AS NOT MATERIALIZED (SELECT 2)
INSERT INTO date (id, at) SELECT :id, date(:at, '+1 day') FROM changes WHERE n < (SELECT x FROM random);
