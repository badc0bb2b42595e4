-- The first event that breaks each invariant, whatever comes after it.
-- projection: account_balance
-- topic: account-events
-- type: $.type
-- version: $.v

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL) STRICT;
CREATE TABLE note (id TEXT PRIMARY KEY, text TEXT) STRICT;
CREATE INDEX by_balance ON account (balance);

-- upcast: PaidIn
SELECT json_set(@value, '$.type', 'Deposited');

-- on: Deposited
INSERT INTO account VALUES (:id, :amount) ON CONFLICT DO UPDATE SET balance = balance + excluded.balance;

-- on: Withdrawn
UPDATE account SET balance = balance - :amount WHERE id = :id;

-- on: Noted
INSERT INTO note VALUES (:id, :text);

-- on: tombstone
DELETE FROM account WHERE id = @key;

-- invariant: no account is overdrawn
SELECT id, balance FROM account WHERE balance < 0 ORDER BY id;

-- invariant: deposits are small
SELECT :amount, @value WHERE :type = 'Deposited' AND :amount > 100;

-- invariant: notes are JSON
SELECT id FROM note WHERE NOT (text -> '$') IS NOT NULL;

-- invariant: there is an account
SELECT 'none' WHERE NOT EXISTS (SELECT 1 FROM account);

-- invariant: fewer than three
SELECT id, balance FROM account WHERE (SELECT count(*) FROM account) >= 3
UNION ALL SELECT 'padding', value FROM json_each('[1, 2, 3, 4]') WHERE (SELECT count(*) FROM account) >= 3;

-- invariant: nothing is negative
SELECT 1 WHERE :amount < 0;

-- invariant: nobody is called z
SELECT * FROM account WHERE id = 'z';
