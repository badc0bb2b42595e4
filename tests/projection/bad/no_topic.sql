-- projection: p
-- type: $.type
CREATE TABLE a (id TEXT PRIMARY KEY);
-- on: A
DELETE FROM a;
