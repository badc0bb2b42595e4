-- How many pieces of each product went out.
-- projection: stock
-- topic: order-events
-- type: $.type

CREATE TABLE product (
  product_id TEXT PRIMARY KEY,
  taken      INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO product (product_id, taken)
SELECT value ->> 'productId', value ->> 'quantity' FROM json_each(:products) WHERE true
ON CONFLICT (product_id) DO UPDATE SET taken = taken + excluded.taken;

-- emit: order-reactions on OrderPlaced
SELECT :orderId AS key, json_object('type', 'Reacted', 'orderId', :orderId, 'service', 'stock', 'orderAt', @timestamp) AS value;
