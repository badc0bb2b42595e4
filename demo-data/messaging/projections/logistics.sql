-- What is to be shipped: a parcel for each order.
-- projection: logistics
-- topic: order-events
-- type: $.type

CREATE TABLE shipment (
  order_id TEXT PRIMARY KEY,
  user_id  TEXT NOT NULL,
  pieces   INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO shipment (order_id, user_id, pieces)
SELECT :orderId, :userId, sum(value ->> 'quantity') FROM json_each(:products);
