-- How long after an order's arrival each service had done its part: both times are the broker's.
-- projection: reactions
-- topic: order-reactions
-- type: $.type

CREATE TABLE reaction (
  order_id TEXT NOT NULL,
  service  TEXT NOT NULL,
  at       INTEGER NOT NULL,
  ms       INTEGER NOT NULL,
  PRIMARY KEY (order_id, service)
) STRICT;

-- on: Reacted
INSERT INTO reaction (order_id, service, at, ms) VALUES (:orderId, :service, @timestamp, @timestamp - :orderAt);
