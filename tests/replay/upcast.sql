-- Three versions of one event, an event that was renamed, and every way in which an upcast can fail.
-- projection: account_balance
-- topic: account-events
-- type: $.type
-- version: $.v

CREATE TABLE account (id TEXT PRIMARY KEY, balance INTEGER NOT NULL, currency TEXT NOT NULL, value TEXT) STRICT;

-- upcast: Deposited
SELECT json_set(@value, '$.v', 2, '$.amount', :amount * 100);

-- upcast: Deposited v2
SELECT json_set(@value, '$.v', 3, '$.currency', coalesce(@headers ->> '$[0][1]', 'EUR'));

-- upcast: PaidIn
SELECT json_object('type', 'Deposited', 'v', 2, 'id', @key, 'amount', $money::cents);

-- upcast: Same
SELECT @value;

-- upcast: Round v1
SELECT json_set(@value, '$.v', 2);

-- upcast: Round v2
SELECT json_set(@value, '$.v', 1);

-- upcast: NoRow
SELECT @value WHERE :none IS NOT NULL;

-- upcast: TwoRows
VALUES ('{}'), ('{}');

-- upcast: Null
SELECT NULL;

-- upcast: Number
SELECT 1;

-- upcast: Jsonb
SELECT jsonb(@value);

-- upcast: NotJson
SELECT '{"type": ';

-- upcast: Fails
SELECT json_set(@value, :path, 1);

-- upcast: Untyped
SELECT '{}';

-- upcast: Gone
SELECT '{"type": "Unheard"}';

-- on: Deposited
INSERT INTO account VALUES (:id, :amount, :currency, @value)
ON CONFLICT DO UPDATE SET balance = balance + excluded.balance, value = excluded.value;
