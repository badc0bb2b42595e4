-- The query side: orders as a page shows them, with the product's name. It knows five products.
-- projection: order_pages
-- topic: order-events
-- type: $.type

CREATE TABLE orders (
  order_id     TEXT PRIMARY KEY,
  user_id      TEXT NOT NULL,
  product_name TEXT NOT NULL,
  amount       INTEGER NOT NULL,
  status       TEXT NOT NULL,
  version      INTEGER NOT NULL
) STRICT;

-- on: OrderCreated
INSERT INTO orders (order_id, user_id, product_name, amount, status, version)
VALUES (:orderId, :userId, CASE :productId
    WHEN 'keyboard' THEN 'Keyboard, 104 keys'
    WHEN 'mouse' THEN 'Mouse, wireless'
    WHEN 'monitor' THEN 'Monitor, 27 inch'
    WHEN 'headset' THEN 'Headset, closed'
    WHEN 'lamp' THEN 'Desk lamp'
  END, :amount, 'created', :version);

-- on: OrderPaid
UPDATE orders SET status = 'paid', version = :version WHERE order_id = :orderId;

-- on: OrderCancelled
UPDATE orders SET status = 'cancelled', version = :version WHERE order_id = :orderId;

/* Published after the rows are committed: whoever sees it can read the order. */
-- emit: order-view-changes
SELECT order_id AS key,
       json_object('type', 'ViewChanged', 'orderId', order_id, 'version', version, 'commandAt', :commandAt,
                   'publishedAt', @timestamp) AS value
FROM orders WHERE order_id = :orderId;

-- test: a product that nobody told it of
-- given: {"type":"OrderCreated","orderId":"o1","version":1,"userId":"u1","productId":"webcam","amount":60}
-- expect poison: NOT NULL constraint failed: orders.product_name
