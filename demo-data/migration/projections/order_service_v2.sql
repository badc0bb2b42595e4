-- The new order service: what it makes of each order goes to ORDERNEW. It was written anew, and four mistakes with it: a discount
-- is cut off instead of rounded, payment on delivery was forgotten, a gift is taken for an error, a tester's order for an order.
-- projection: order_service_v2
-- topic: order-input
-- type: $.type
-- version: $.v

CREATE TABLE orders (
  order_id    TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL,
  currency    TEXT NOT NULL,
  total_cents INTEGER NOT NULL,
  status      TEXT
) STRICT;

-- upcast: OrderSubmitted
SELECT json_set(@value, '$.v', 2, '$.currency', 'EUR');

-- on: OrderSubmitted
INSERT INTO orders (order_id, customer_id, currency, total_cents, status)
SELECT :orderId, :customerId, :currency, gross * (100 - :discountPercent) / 100,
  CASE :payment WHEN 'card' THEN 'paid' WHEN 'invoice' THEN 'open' END
FROM (SELECT sum((value ->> 'quantity') * (value ->> 'unitCents')) AS gross FROM json_each(:lines))
WHERE gross * (100 - :discountPercent) > 0
ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, currency = excluded.currency,
  total_cents = excluded.total_cents, status = excluded.status;

-- emit: ORDERNEW on OrderSubmitted
SELECT order_id AS key,
       json_object('type', 'OrderResult', 'orderId', order_id, 'customerId', customer_id, 'currency', currency,
                   'totalCents', total_cents, 'status', status) AS value
FROM orders WHERE order_id = :orderId;

-- test: an order in the old form has its currency; one without a customer is refused
-- given: {"type":"OrderSubmitted","orderId":"o1","customerId":"c1","lines":[{"sku":"a","quantity":2,"unitCents":500}],"discountPercent":0,"payment":"invoice"}
-- given: {"type":"OrderSubmitted","v":2,"orderId":"o2","currency":"EUR","lines":[{"sku":"a","quantity":2,"unitCents":500}],"discountPercent":0,"payment":"invoice"}
-- expect poison: NOT NULL constraint failed: orders.customer_id
-- expect: SELECT order_id, currency, total_cents, status FROM orders
-- = ["o1", "EUR", 1000, "open"]
