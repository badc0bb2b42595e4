-- projection: p
-- topic: t
-- type: $.type
-- version: $.v

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A v1
WITH x AS (SELECT 1) UPDATE a SET n = 1;
