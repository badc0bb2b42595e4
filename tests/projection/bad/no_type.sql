-- projection: p
-- topic: t
CREATE TABLE a (id TEXT PRIMARY KEY);
-- on: A
DELETE FROM a;
