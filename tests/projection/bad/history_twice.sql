-- projection: orders
-- topic: orders
-- history: on
-- history: off

CREATE TABLE t (id TEXT PRIMARY KEY) STRICT;

-- on: tombstone
DELETE FROM t WHERE id = @key;
