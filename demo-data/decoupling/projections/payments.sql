-- What each order costs. An order that came twice would break the primary key, and be told.
-- projection: payments
-- topic: order-events
-- type: $.type

CREATE TABLE payment (
  order_id TEXT PRIMARY KEY,
  user_id  TEXT NOT NULL,
  amount   INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO payment (order_id, user_id, amount)
SELECT :orderId, :userId, sum((value ->> 'price') * (value ->> 'quantity')) FROM json_each(:products);

-- emit: order-reactions on OrderPlaced
SELECT :orderId AS key, json_object('type', 'Reacted', 'orderId', :orderId, 'service', 'payment', 'orderAt', @timestamp) AS value;
