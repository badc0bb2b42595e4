-- projection: p
-- topic: a
-- type: $.type
-- schema: A a.json
-- schema: A b.json

CREATE TABLE t (id TEXT PRIMARY KEY);

-- on: A
INSERT INTO t VALUES (:id);
