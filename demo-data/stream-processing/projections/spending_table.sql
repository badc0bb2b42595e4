-- The published totals as a table: the last of each user.
-- projection: spending_table
-- topic: user-spending-totals
-- type: $.type

CREATE TABLE spending (
  user_id TEXT PRIMARY KEY,
  total   INTEGER NOT NULL,
  changes INTEGER NOT NULL
) STRICT;

-- on: SpendingTotal
INSERT INTO spending (user_id, total, changes) VALUES (:userId, :total, 1)
ON CONFLICT (user_id) DO UPDATE SET total = excluded.total, changes = changes + 1;
