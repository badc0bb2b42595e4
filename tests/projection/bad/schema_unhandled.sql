-- projection: p
-- topic: a
-- type: $.type
-- schema: AA a.json

CREATE TABLE t (id TEXT PRIMARY KEY);

-- on: A
INSERT INTO t VALUES (:id);
