-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE a (id TEXT PRIMARY KEY, n INTEGER) STRICT;

-- upcast: A
SELECT json_sett(@value, '$.v', 2);
-- on: A
DELETE FROM a;
