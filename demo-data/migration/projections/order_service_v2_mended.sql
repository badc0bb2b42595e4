-- The new order service, mended. It reads the input from its beginning and publishes every result again; what should never have
-- been in ORDERNEW is taken back with a tombstone.
-- projection: order_service_v2_mended
-- topic: order-input
-- type: $.type
-- version: $.v

CREATE TABLE orders (
  order_id    TEXT PRIMARY KEY,
  customer_id TEXT NOT NULL,
  currency    TEXT NOT NULL,
  total_cents INTEGER NOT NULL,
  status      TEXT NOT NULL
) STRICT;

-- upcast: OrderSubmitted
SELECT json_set(@value, '$.v', 2, '$.currency', 'EUR');

-- on: OrderSubmitted
INSERT INTO orders (order_id, customer_id, currency, total_cents, status)
SELECT :orderId, :customerId, :currency, (gross * (100 - :discountPercent) + 50) / 100,
  CASE :payment WHEN 'card' THEN 'paid' WHEN 'invoice' THEN 'open' WHEN 'on-delivery' THEN 'on-delivery' END
FROM (SELECT sum((value ->> 'quantity') * (value ->> 'unitCents')) AS gross FROM json_each(:lines))
WHERE coalesce(:customerId, '') NOT LIKE 'test-%'
ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, currency = excluded.currency,
  total_cents = excluded.total_cents, status = excluded.status;

-- emit: ORDERNEW on OrderSubmitted
SELECT order_id AS key,
       json_object('type', 'OrderResult', 'orderId', order_id, 'customerId', customer_id, 'currency', currency,
                   'totalCents', total_cents, 'status', status) AS value
FROM orders WHERE order_id = :orderId
UNION ALL
SELECT :orderId, NULL WHERE :customerId LIKE 'test-%';

-- test: a gift is an order, and half a cent is rounded up
-- given: {"type":"OrderSubmitted","v":2,"orderId":"o1","customerId":"c1","currency":"EUR","lines":[{"sku":"a","quantity":1,"unitCents":1005}],"discountPercent":10,"payment":"on-delivery"}
-- given: {"type":"OrderSubmitted","v":2,"orderId":"o2","customerId":"c1","currency":"EUR","lines":[{"sku":"a","quantity":1,"unitCents":1005}],"discountPercent":100,"payment":"card"}
-- expect: SELECT order_id, total_cents, status FROM orders
-- = ["o1", 905, "on-delivery"]
-- = ["o2", 0, "paid"]
