-- projection: p
-- topic: t
-- version: $.v

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A
SELECT @value;
-- on: *
DELETE FROM a;
