-- The command side: each command is judged against the orders as they stand, and decided once.
-- projection: write_model
-- topic: order-commands
-- type: $.type

CREATE TABLE orders (
  order_id   TEXT PRIMARY KEY,
  user_id    TEXT NOT NULL,
  product_id TEXT NOT NULL,
  quantity   INTEGER NOT NULL,
  amount     INTEGER NOT NULL,
  region     TEXT NOT NULL,
  status     TEXT NOT NULL,
  version    INTEGER NOT NULL
) STRICT;

/* What became of each command. `place` is the record that it was decided by: one that comes again is another record, and
   finds its command decided. A command without a reason was accepted. */
CREATE TABLE command (
  command_id TEXT PRIMARY KEY,
  place      TEXT NOT NULL,
  kind       TEXT NOT NULL,
  order_id   TEXT NOT NULL,
  reason     TEXT
) STRICT;

-- on: CreateOrder
INSERT INTO command (command_id, place, kind, order_id, reason)
SELECT :commandId, @partition || ':' || @offset, :type, :orderId, CASE
    WHEN :quantity < 1 THEN 'the quantity is ' || :quantity
    WHEN EXISTS (SELECT 1 FROM orders WHERE order_id = :orderId) THEN 'the order exists already'
  END
WHERE true
ON CONFLICT (command_id) DO NOTHING;

INSERT INTO orders (order_id, user_id, product_id, quantity, amount, region, status, version)
SELECT :orderId, :userId, :productId, :quantity, :amount, :region, 'created', 1
FROM command WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL;

-- on: PayOrder
INSERT INTO command (command_id, place, kind, order_id, reason)
SELECT :commandId, @partition || ':' || @offset, :type, :orderId, CASE
    WHEN version IS NULL THEN 'there is no such order'
    WHEN :expectedVersion <> version THEN 'conflict: version ' || :expectedVersion || ' was expected, it is ' || version
    WHEN status <> 'created' THEN 'the order is ' || status || ' already'
  END
FROM (SELECT 1) LEFT JOIN orders ON order_id = :orderId
WHERE true
ON CONFLICT (command_id) DO NOTHING;

UPDATE orders SET status = 'paid', version = version + 1
WHERE order_id = :orderId AND EXISTS (
  SELECT 1 FROM command WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL);

-- on: CancelOrder
INSERT INTO command (command_id, place, kind, order_id, reason)
SELECT :commandId, @partition || ':' || @offset, :type, :orderId, CASE
    WHEN version IS NULL THEN 'there is no such order'
    WHEN :expectedVersion <> version THEN 'conflict: version ' || :expectedVersion || ' was expected, it is ' || version
    WHEN status = 'cancelled' THEN 'the order is cancelled already'
  END
FROM (SELECT 1) LEFT JOIN orders ON order_id = :orderId
WHERE true
ON CONFLICT (command_id) DO NOTHING;

UPDATE orders SET status = 'cancelled', version = version + 1
WHERE order_id = :orderId AND EXISTS (
  SELECT 1 FROM command WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL);

-- emit: order-events on CreateOrder
SELECT order_id AS key,
       json_object('type', 'OrderCreated', 'orderId', order_id, 'version', version, 'userId', user_id,
                   'productId', product_id, 'quantity', quantity, 'amount', amount, 'region', region,
                   'commandId', :commandId, 'commandAt', @timestamp, 'timestamp', :timestamp) AS value
FROM orders JOIN command USING (order_id)
WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL;

-- emit: order-events on PayOrder
SELECT order_id AS key,
       json_object('type', 'OrderPaid', 'orderId', order_id, 'version', version, 'userId', user_id, 'amount', amount,
                   'region', region, 'commandId', :commandId, 'commandAt', @timestamp, 'timestamp', :timestamp) AS value
FROM orders JOIN command USING (order_id)
WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL;

-- emit: order-events on CancelOrder
SELECT order_id AS key,
       json_object('type', 'OrderCancelled', 'orderId', order_id, 'version', version, 'userId', user_id, 'amount', amount,
                   'reason', coalesce(:reason, 'the customer changed their mind'), 'commandId', :commandId,
                   'commandAt', @timestamp, 'timestamp', :timestamp) AS value
FROM orders JOIN command USING (order_id)
WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NULL;

-- emit: rejected-commands on CreateOrder, PayOrder, CancelOrder
SELECT order_id AS key,
       json_object('type', 'CommandRejected', 'commandId', command_id, 'command', kind, 'orderId', order_id,
                   'reason', reason, 'timestamp', :timestamp) AS value
FROM command
WHERE command_id = :commandId AND place = @partition || ':' || @offset AND reason IS NOT NULL;

-- test: a command is judged by what the order is
-- given: {"type":"CreateOrder","commandId":"c1","orderId":"o1","userId":"u1","productId":"lamp","quantity":1,"amount":40,"region":"north","timestamp":1}
-- given: {"type":"CreateOrder","commandId":"c2","orderId":"o1","userId":"u1","productId":"lamp","quantity":1,"amount":40,"region":"north","timestamp":2}
-- given: {"type":"PayOrder","commandId":"c3","orderId":"o1","expectedVersion":1,"timestamp":3}
-- given: {"type":"PayOrder","commandId":"c4","orderId":"o1","timestamp":4}
-- given: {"type":"CancelOrder","commandId":"c5","orderId":"o9","timestamp":5}
-- given: {"type":"CreateOrder","commandId":"c6","orderId":"o2","userId":"u1","productId":"lamp","quantity":0,"amount":0,"region":"north","timestamp":6}
-- expect: SELECT command_id, reason FROM command WHERE reason IS NOT NULL
-- = ["c2", "the order exists already"]
-- = ["c4", "the order is paid already"]
-- = ["c5", "there is no such order"]
-- = ["c6", "the quantity is 0"]
-- expect: SELECT order_id, status, version FROM orders
-- = ["o1", "paid", 2]

-- test: of two who saw the same version one wins, and the other tries again
-- given: {"type":"CreateOrder","commandId":"c1","orderId":"o1","userId":"u1","productId":"lamp","quantity":1,"amount":40,"region":"north","timestamp":1}
-- given: {"type":"PayOrder","commandId":"c2","orderId":"o1","expectedVersion":1,"timestamp":2}
-- given: {"type":"CancelOrder","commandId":"c3","orderId":"o1","expectedVersion":1,"timestamp":3}
-- expect: SELECT reason FROM command WHERE command_id = 'c3'
-- = "conflict: version 1 was expected, it is 2"
-- given: {"type":"CancelOrder","commandId":"c4","orderId":"o1","expectedVersion":2,"timestamp":4}
-- expect: SELECT status, version FROM orders
-- = ["cancelled", 3]

-- test: a command that comes twice is decided once
-- given: {"type":"CreateOrder","commandId":"c1","orderId":"o1","userId":"u1","productId":"lamp","quantity":1,"amount":40,"region":"north","timestamp":1}
-- given: {"type":"CancelOrder","commandId":"c2","orderId":"o1","timestamp":2}
-- given: {"type":"CancelOrder","commandId":"c2","orderId":"o1","timestamp":2}
-- expect: SELECT count(*), sum(reason IS NULL), (SELECT version FROM orders) FROM command
-- = [2, 2, 2]
