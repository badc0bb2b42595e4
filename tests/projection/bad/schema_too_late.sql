-- projection: p
-- topic: a
-- type: $.type

CREATE TABLE t (id TEXT PRIMARY KEY);

-- on: A
INSERT INTO t VALUES (:id);

-- schema: A a.json
