CREATE TABLE a (id TEXT PRIMARY KEY);
-- projection: p
