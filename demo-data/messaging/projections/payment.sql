-- What was paid for each order. An order that came twice would break the primary key, and be told.
-- projection: payment
-- topic: order-events
-- type: $.type

CREATE TABLE payment (
  order_id TEXT PRIMARY KEY,
  user_id  TEXT NOT NULL,
  amount   INTEGER NOT NULL,
  paid_at  INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO payment (order_id, user_id, amount, paid_at)
SELECT :orderId, :userId, sum((value ->> 'price') * (value ->> 'quantity')), :timestamp FROM json_each(:products);
