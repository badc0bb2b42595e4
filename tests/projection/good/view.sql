-- projection: view
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT;

CREATE VIEW large AS SELECT id, n FROM a WHERE n > 100;

-- on: A
INSERT INTO a VALUES (:id, :n);

-- on: Clear
DELETE FROM a WHERE id IN (SELECT id FROM large);
