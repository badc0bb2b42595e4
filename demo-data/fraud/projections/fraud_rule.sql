-- The rule in use: more than three times what the card has spent on average in its whole life. A card with fewer than five
-- transactions has no history to go by.
-- projection: fraud_rule
-- topic: card-transactions
-- type: $.type

CREATE TABLE card (
  card_id      TEXT PRIMARY KEY,
  transactions INTEGER NOT NULL,
  total        INTEGER NOT NULL
) STRICT;

CREATE TABLE verdict (
  transaction_id TEXT PRIMARY KEY,
  card_id        TEXT NOT NULL,
  amount         INTEGER NOT NULL,
  usual          INTEGER NOT NULL,
  suspicious     INTEGER NOT NULL
) STRICT;

-- on: CardTransaction
INSERT INTO verdict (transaction_id, card_id, amount, usual, suspicious)
SELECT :transactionId, :cardId, :amount, coalesce(total / transactions, 0),
       coalesce(transactions >= 5 AND :amount * transactions > 3 * total, 0)
FROM (SELECT 1) LEFT JOIN card ON card_id = :cardId;

INSERT INTO card (card_id, transactions, total) VALUES (:cardId, 1, :amount)
ON CONFLICT (card_id) DO UPDATE SET transactions = transactions + 1, total = total + excluded.total;

-- emit: fraud on CardTransaction
SELECT card_id AS key,
       json_object('type', 'FraudSuspected', 'transactionId', transaction_id, 'cardId', card_id, 'customerId', :customerId,
                   'amount', amount, 'usual', usual, 'rule', 'whole life',
                   'reason', amount || ' is more than three times ' || usual, 'timestamp', :timestamp) AS value
FROM verdict WHERE transaction_id = :transactionId AND suspicious;

-- test: with five transactions there is a history, and three times its average is the limit
-- given: {"type":"CardTransaction","transactionId":"t1","cardId":"c","amount":10}
-- given: {"type":"CardTransaction","transactionId":"t2","cardId":"c","amount":10}
-- given: {"type":"CardTransaction","transactionId":"t3","cardId":"c","amount":10}
-- given: {"type":"CardTransaction","transactionId":"t4","cardId":"c","amount":40}
-- given: {"type":"CardTransaction","transactionId":"t5","cardId":"c","amount":10}
-- given: {"type":"CardTransaction","transactionId":"t6","cardId":"c","amount":48}
-- given: {"type":"CardTransaction","transactionId":"t7","cardId":"c","amount":90}
-- expect: SELECT transaction_id, suspicious FROM verdict WHERE amount >= 40
-- = ["t4", 0]
-- = ["t6", 0]
-- = ["t7", 1]
