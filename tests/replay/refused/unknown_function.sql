-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY) STRICT;

-- on: X
INSERT INTO account VALUES (upper_case(:id));
