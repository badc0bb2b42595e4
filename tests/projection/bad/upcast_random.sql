-- projection: p
-- topic: t
-- type: $.type
-- version: $.v

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A
SELECT json_set(@value, '$.v', random());
