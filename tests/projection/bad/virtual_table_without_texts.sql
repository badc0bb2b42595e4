-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE VIRTUAL TABLE f USING fts5(x, content = '');
