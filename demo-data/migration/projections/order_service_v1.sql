-- The old order service: what it makes of each order goes to ORDER. A discount is rounded to the nearest cent.
-- projection: order_service_v1
-- topic: order-input
-- type: $.type

CREATE TABLE orders (
  order_id    TEXT PRIMARY KEY,
  customer_id TEXT,
  currency    TEXT NOT NULL,
  total_cents INTEGER NOT NULL,
  status      TEXT NOT NULL
) STRICT;

-- on: OrderSubmitted
INSERT INTO orders (order_id, customer_id, currency, total_cents, status)
SELECT :orderId, :customerId, coalesce(:currency, 'EUR'), (gross * (100 - :discountPercent) + 50) / 100,
  CASE :payment WHEN 'card' THEN 'paid' WHEN 'invoice' THEN 'open' WHEN 'on-delivery' THEN 'on-delivery' END
FROM (SELECT sum((value ->> 'quantity') * (value ->> 'unitCents')) AS gross FROM json_each(:lines))
WHERE coalesce(:customerId, '') NOT LIKE 'test-%'
ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, currency = excluded.currency,
  total_cents = excluded.total_cents, status = excluded.status;

-- emit: ORDER on OrderSubmitted
SELECT order_id AS key,
       json_object('type', 'OrderResult', 'orderId', order_id, 'customerId', customer_id, 'currency', currency,
                   'totalCents', total_cents, 'status', status) AS value
FROM orders WHERE order_id = :orderId;

-- test: half a cent is rounded up, and what a tester orders is nobody's order
-- given: {"type":"OrderSubmitted","v":2,"orderId":"o1","customerId":"c1","currency":"EUR","lines":[{"sku":"a","quantity":1,"unitCents":1005}],"discountPercent":10,"payment":"card"}
-- given: {"type":"OrderSubmitted","v":2,"orderId":"o2","customerId":"test-1","currency":"EUR","lines":[{"sku":"a","quantity":1,"unitCents":100}],"discountPercent":0,"payment":"card"}
-- expect: SELECT order_id, total_cents, status FROM orders
-- = ["o1", 905, "paid"]
