-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

CREATE TRIGGER x AFTER INSERT ON a BEGIN DELETE FROM a; END;
