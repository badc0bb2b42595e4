-- projection: p
-- topic: t
-- type: $.type
CREATE TABLE a (id TEXT PRIMARY KEY);
