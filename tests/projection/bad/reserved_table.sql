-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE TABLE foldlog_position (id TEXT PRIMARY KEY);
