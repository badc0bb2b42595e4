-- A service that nobody had thought of when the first order was placed: an invoice for each order, numbered in each user's order.
-- projection: invoices
-- topic: order-events
-- type: $.type

CREATE TABLE invoice (
  user_id  TEXT NOT NULL,
  number   INTEGER NOT NULL,
  order_id TEXT NOT NULL,
  amount   INTEGER NOT NULL,
  PRIMARY KEY (user_id, number)
) STRICT;

-- on: OrderPlaced
INSERT INTO invoice (user_id, number, order_id, amount)
SELECT :userId, (SELECT count(*) + 1 FROM invoice WHERE user_id = :userId), :orderId,
       sum((value ->> 'price') * (value ->> 'quantity'))
FROM json_each(:products);

-- emit: order-reactions on OrderPlaced
SELECT :orderId AS key, json_object('type', 'Reacted', 'orderId', :orderId, 'service', 'invoices', 'orderAt', @timestamp) AS value;
