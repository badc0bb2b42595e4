-- The new rule: more than three times what the card has spent of late. What is usual moves an eighth of the way with every
-- transaction, and not at all with one that is suspected.
-- projection: fraud_rule
-- topic: card-transactions
-- type: $.type

/* In hundredths, so that small amounts move it too. */
CREATE TABLE card (
  card_id      TEXT PRIMARY KEY,
  transactions INTEGER NOT NULL,
  usual_cents  INTEGER NOT NULL
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
SELECT :transactionId, :cardId, :amount, coalesce(usual_cents / 100, 0),
       coalesce(transactions >= 5 AND :amount * 100 > 3 * usual_cents, 0)
FROM (SELECT 1) LEFT JOIN card ON card_id = :cardId;

INSERT INTO card (card_id, transactions, usual_cents) VALUES (:cardId, 1, :amount * 100)
ON CONFLICT (card_id) DO UPDATE SET transactions = transactions + 1,
  usual_cents = usual_cents + (SELECT iif(suspicious, 0, (:amount * 100 - usual_cents) / 8)
                               FROM verdict WHERE transaction_id = :transactionId);

-- emit: fraud on CardTransaction
SELECT card_id AS key,
       json_object('type', 'FraudSuspected', 'transactionId', transaction_id, 'cardId', card_id, 'customerId', :customerId,
                   'amount', amount, 'usual', usual, 'rule', 'of late',
                   'reason', amount || ' is more than three times ' || usual, 'timestamp', :timestamp) AS value
FROM verdict WHERE transaction_id = :transactionId AND suspicious;

-- test: a habit that grows is no fraud, a jump is
-- given: {"type":"CardTransaction","transactionId":"t1","cardId":"c","amount":10}
-- given: {"type":"CardTransaction","transactionId":"t2","cardId":"c","amount":14}
-- given: {"type":"CardTransaction","transactionId":"t3","cardId":"c","amount":18}
-- given: {"type":"CardTransaction","transactionId":"t4","cardId":"c","amount":22}
-- given: {"type":"CardTransaction","transactionId":"t5","cardId":"c","amount":26}
-- given: {"type":"CardTransaction","transactionId":"t6","cardId":"c","amount":30}
-- given: {"type":"CardTransaction","transactionId":"t7","cardId":"c","amount":90}
-- given: {"type":"CardTransaction","transactionId":"t8","cardId":"c","amount":34}
-- expect: SELECT transaction_id FROM verdict WHERE suspicious
-- = "t7"
