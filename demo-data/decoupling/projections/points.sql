-- A point for every ten that a user spends.
-- projection: points
-- topic: order-events
-- type: $.type

CREATE TABLE user_points (
  user_id TEXT PRIMARY KEY,
  orders  INTEGER NOT NULL,
  points  INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO user_points (user_id, orders, points)
SELECT :userId, 1, sum((value ->> 'price') * (value ->> 'quantity')) / 10 FROM json_each(:products) WHERE true
ON CONFLICT (user_id) DO UPDATE SET orders = orders + 1, points = points + excluded.points;

-- emit: order-reactions on OrderPlaced
SELECT :orderId AS key, json_object('type', 'Reacted', 'orderId', :orderId, 'service', 'points', 'orderAt', @timestamp) AS value;
