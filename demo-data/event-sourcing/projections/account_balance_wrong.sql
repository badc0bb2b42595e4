-- What every account holds now, wrongly: a withdrawal adds. For the lesson's fault.
-- projection: account_balance
-- topic: account-events
-- type: $.type

CREATE TABLE account (
  id         TEXT PRIMARY KEY,
  owner      TEXT NOT NULL,
  balance    INTEGER NOT NULL,
  opened_at  INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

-- on: AccountOpened
INSERT INTO account (id, owner, balance, opened_at, updated_at)
VALUES (:accountId, :owner, 0, @timestamp, @timestamp);

-- on: Deposited
UPDATE account SET balance = balance + :amount, updated_at = @timestamp WHERE id = :accountId;

-- on: Withdrawn
UPDATE account SET balance = balance + :amount, updated_at = @timestamp WHERE id = :accountId;
