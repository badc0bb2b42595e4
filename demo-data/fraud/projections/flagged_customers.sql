-- What is known of customers whose cards were suspected, for whoever talks to them; and the truth, once it is known.
-- projection: flagged_customers
-- topic: fraud
-- topic: fraud-labels
-- type: $.type

CREATE TABLE suspicion (
  transaction_id TEXT PRIMARY KEY,
  customer_id    TEXT NOT NULL,
  amount         INTEGER NOT NULL,
  rule           TEXT NOT NULL,
  reason         TEXT NOT NULL
) STRICT;

CREATE TABLE customer (
  customer_id TEXT PRIMARY KEY,
  suspected   INTEGER NOT NULL,
  amount      INTEGER NOT NULL,
  largest     INTEGER NOT NULL,
  last_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE label (
  transaction_id TEXT PRIMARY KEY,
  fraud          INTEGER NOT NULL
) STRICT;

-- on: FraudSuspected
INSERT INTO suspicion (transaction_id, customer_id, amount, rule, reason)
VALUES (:transactionId, :customerId, :amount, :rule, :reason);

INSERT INTO customer (customer_id, suspected, amount, largest, last_at) VALUES (:customerId, 1, :amount, :amount, :timestamp)
ON CONFLICT (customer_id) DO UPDATE SET suspected = suspected + 1, amount = amount + excluded.amount,
  largest = max(largest, excluded.largest), last_at = max(last_at, excluded.last_at);

-- on: Label
INSERT INTO label (transaction_id, fraud) VALUES (:transactionId, :fraud);
