-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER) STRICT;

-- on: X
UPDATE account SET
  balanse = :amount
WHERE id = :id;
