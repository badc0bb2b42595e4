-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE TEMP TABLE v (id TEXT PRIMARY KEY);
