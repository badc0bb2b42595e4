-- Every movement of money with the record it came from: why a balance is what it is.
-- projection: audit_trail
-- topic: account-events
-- type: $.type

CREATE TABLE movement (
  partition  INTEGER NOT NULL,
  "offset"   INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  account_id TEXT NOT NULL,
  type       TEXT NOT NULL,
  amount     INTEGER NOT NULL,
  channel    TEXT NOT NULL,
  balance    INTEGER NOT NULL,
  PRIMARY KEY (partition, "offset")
) STRICT, WITHOUT ROWID;

-- What the account held after its last movement, so that each movement can say what it led to.
CREATE TABLE holding (
  account_id TEXT PRIMARY KEY,
  balance    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX movement_by_account ON movement (account_id, at);

-- on: Deposited
INSERT INTO holding (account_id, balance) VALUES (:accountId, :amount)
ON CONFLICT (account_id) DO UPDATE SET balance = balance + excluded.balance;

INSERT INTO movement (partition, "offset", at, account_id, type, amount, channel, balance)
SELECT @partition, @offset, @timestamp, account_id, :type, :amount, :channel, balance
FROM holding WHERE account_id = :accountId;

-- on: Withdrawn
INSERT INTO holding (account_id, balance) VALUES (:accountId, -:amount)
ON CONFLICT (account_id) DO UPDATE SET balance = balance + excluded.balance;

INSERT INTO movement (partition, "offset", at, account_id, type, amount, channel, balance)
SELECT @partition, @offset, @timestamp, account_id, :type, -:amount, :channel, balance
FROM holding WHERE account_id = :accountId;
