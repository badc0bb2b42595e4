-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- on: A
CREATE TEMP TRIGGER x AFTER INSERT ON a BEGIN DELETE FROM a; END;
