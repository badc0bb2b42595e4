-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE TABLE b (id TEXT PRIMARY KEY, at TEXT DEFAULT current_timestamp);
