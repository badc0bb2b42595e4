-- projection: account_balance
-- topic: account-events
-- type: $.type

CREATE TABLE account (
  id         TEXT PRIMARY KEY,
  balance    INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- on: Deposited
INSERT INTO account (id, balance, updated_at) VALUES (:accountId, :amount, @timestamp)
ON CONFLICT (id) DO UPDATE SET balance = balance + excluded.balance, updated_at = excluded.updated_at;

-- on: Withdrawn
UPDATE account SET balance = balance - :amount, updated_at = @timestamp WHERE id = :accountId;
