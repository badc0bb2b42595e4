-- The same totals as a batch has them: folded from the whole log whenever somebody starts it.
-- projection: batch
-- topic: orders
-- type: $.type

CREATE TABLE user_total (
  user_id TEXT PRIMARY KEY,
  total   INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO user_total (user_id, total) VALUES (:userId, :amount)
ON CONFLICT (user_id) DO UPDATE SET total = total + excluded.total;
