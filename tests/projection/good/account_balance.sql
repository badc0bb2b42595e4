-- The balance of every account.
-- projection: account_balance
-- topic: account-events
-- type: $.type

CREATE TABLE account (
  id         TEXT PRIMARY KEY,
  -- balance: in cents
  balance    INTEGER NOT NULL, -- type: never mind
  updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX by_balance ON account (balance);

-- on: Deposited
INSERT INTO account (id, balance, updated_at) VALUES (:accountId, :amount, @timestamp)
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, updated_at = excluded.updated_at;

-- on: Withdrawn
UPDATE account SET balance = balance - :amount, updated_at = @timestamp WHERE id = :accountId;
