-- The query side once more, for another question: what each user ordered, paid and cancelled.
-- projection: user_statistics
-- topic: order-events
-- type: $.type

CREATE TABLE user (
  user_id   TEXT PRIMARY KEY,
  orders    INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  paid      INTEGER NOT NULL,
  refunded  INTEGER NOT NULL
) STRICT;

/* Whether an order was paid decides what its cancellation gives back. */
CREATE TABLE paid_order (
  order_id TEXT PRIMARY KEY,
  amount   INTEGER NOT NULL
) STRICT;

-- on: OrderCreated
INSERT INTO user (user_id, orders, cancelled, paid, refunded) VALUES (:userId, 1, 0, 0, 0)
ON CONFLICT (user_id) DO UPDATE SET orders = orders + 1;

-- on: OrderPaid
UPDATE user SET paid = paid + :amount WHERE user_id = :userId;

INSERT INTO paid_order (order_id, amount) VALUES (:orderId, :amount);

-- on: OrderCancelled
UPDATE user SET cancelled = cancelled + 1,
  refunded = refunded + coalesce((SELECT amount FROM paid_order WHERE order_id = :orderId), 0)
WHERE user_id = :userId;
