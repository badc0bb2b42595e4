-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER);

-- on: X
DELETE FROM account;
