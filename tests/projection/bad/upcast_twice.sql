-- projection: p
-- topic: t
-- type: $.type
-- version: $.v

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A v1
SELECT @value;
-- upcast: "A" v1
SELECT '{}';
