-- Sends what is paid. Where no carrier goes, what was done is undone by a command of its own: a compensation.
-- projection: shipping
-- topic: order-events
-- type: $.type

CREATE TABLE shipment (
  order_id TEXT PRIMARY KEY,
  state    TEXT NOT NULL
) STRICT;

-- on: OrderPaid
INSERT INTO shipment (order_id, state) VALUES (:orderId, iif(:region = 'islands', 'impossible', 'to be sent'));

-- on: OrderCancelled
UPDATE shipment SET state = 'called off' WHERE order_id = :orderId;

-- emit: order-commands on OrderPaid
SELECT order_id AS key,
       json_object('type', 'CancelOrder', 'commandId', 'undo-' || order_id, 'orderId', order_id,
                   'reason', 'no carrier goes to the ' || :region, 'timestamp', :timestamp) AS value
FROM shipment WHERE order_id = :orderId AND state = 'impossible';
