-- Purchases, each once, published as a stream of sales that is keyed by product.
-- projection: checkout
-- topic: user-actions
-- type: $.action

CREATE TABLE sale (
  event_id   TEXT PRIMARY KEY,
  product_id TEXT NOT NULL,
  quantity   INTEGER NOT NULL,
  amount     INTEGER NOT NULL,
  -- The record that it came with. A copy of the event has another.
  place      TEXT NOT NULL
) STRICT;

-- on: purchase
INSERT INTO sale (event_id, product_id, quantity, amount, place)
VALUES (:eventId, $data::productId, $data::quantity, $data::quantity * $data::price, @partition || ':' || @offset)
ON CONFLICT (event_id) DO NOTHING;

-- emit: sales on purchase
SELECT product_id AS key,
       json_object('type', 'Sold', 'saleId', event_id, 'productId', product_id, 'quantity', quantity) AS value
FROM sale WHERE event_id = :eventId AND place = @partition || ':' || @offset;

-- test: a copy is no second sale
-- given: {"eventId": "e1", "action": "purchase", "data": {"productId": "lamp", "quantity": 2, "price": 30}}
-- given: {"eventId": "e1", "action": "purchase", "data": {"productId": "lamp", "quantity": 2, "price": 30}}
-- expect: SELECT event_id, product_id, quantity, amount, place FROM sale
-- = ["e1", "lamp", 2, 60, "0:0"]
