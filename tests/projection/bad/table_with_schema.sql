-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE TABLE IF NOT EXISTS main.b (id TEXT PRIMARY KEY);
