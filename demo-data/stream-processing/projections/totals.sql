-- What each user has spent so far; every new total is published.
-- projection: totals
-- topic: orders
-- type: $.type

CREATE TABLE user_total (
  user_id TEXT PRIMARY KEY,
  total   INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO user_total (user_id, total) VALUES (:userId, :amount)
ON CONFLICT (user_id) DO UPDATE SET total = total + excluded.total;

-- emit: user-spending-totals on OrderPlaced
SELECT user_id AS key,
       json_object('type', 'SpendingTotal', 'userId', user_id, 'total', total, 'orderId', :orderId) AS value
FROM user_total WHERE user_id = :userId;
