-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE account (id TEXT, balance INTEGER);

-- on: X
DELETE FROM account;
