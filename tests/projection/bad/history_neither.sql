-- projection: orders
-- topic: orders
-- history: yes

CREATE TABLE t (id TEXT PRIMARY KEY) STRICT;

-- on: tombstone
DELETE FROM t WHERE id = @key;
