-- What goes together, learnt from all that was loaded from the lake: trained whenever somebody rebuilds it.
-- projection: model
-- topic: clicks-from-lake
-- topic: user-relations
-- topic: product-info
-- type: $.type

CREATE TABLE profile (
  user_id TEXT NOT NULL,
  item_id TEXT NOT NULL,
  clicks  INTEGER NOT NULL,
  PRIMARY KEY (user_id, item_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE follows (
  user_id   TEXT NOT NULL,
  friend_id TEXT NOT NULL,
  PRIMARY KEY (user_id, friend_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE product (
  item_id  TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  category TEXT NOT NULL
) STRICT;

CREATE VIEW taste AS SELECT user_id, item_id, clicks FROM profile;

CREATE VIEW popular AS
SELECT item_id, sum(clicks) AS clicks, count(*) AS users FROM taste GROUP BY item_id;

-- How many users clicked both.
CREATE VIEW together AS
SELECT a.item_id AS item, b.item_id AS other, count(*) AS users
FROM taste AS a JOIN taste AS b ON b.user_id = a.user_id AND b.item_id <> a.item_id GROUP BY 1, 2;

-- The cosine of two items is together / sqrt(users * users). Its square, in millionths, is of whole numbers: sums of it are the
-- same in any order.
CREATE VIEW similar AS
SELECT t.item, t.other, 1000000 * t.users * t.users / (a.users * b.users) AS similarity
FROM together AS t JOIN popular AS a ON a.item_id = t.item JOIN popular AS b ON b.item_id = t.other;

-- What lies near what a user clicked, and a little for what friends clicked.
CREATE VIEW score AS
WITH near AS (
  SELECT p.user_id, s.other AS item_id, s.similarity AS points FROM taste AS p JOIN similar AS s ON s.item = p.item_id
  UNION ALL
  SELECT f.user_id, p.item_id, 20000 FROM follows AS f JOIN taste AS p ON p.user_id = f.friend_id
)
SELECT n.user_id, n.item_id, sum(n.points) AS points FROM near AS n LEFT JOIN taste AS known USING (user_id, item_id)
WHERE known.user_id IS NULL GROUP BY n.user_id, n.item_id;

CREATE VIEW top5 AS
SELECT user_id, place, item_id, points
FROM (SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY points DESC, item_id) AS place FROM score) WHERE place <= 5;

-- The baseline: what everybody clicks, without what the user knows.
CREATE VIEW popular5 AS
SELECT user_id, place, item_id FROM (
  SELECT u.user_id, p.item_id, row_number() OVER (PARTITION BY u.user_id ORDER BY p.clicks DESC, p.item_id) AS place
  FROM (SELECT user_id FROM taste UNION SELECT user_id FROM follows) AS u CROSS JOIN popular AS p
  LEFT JOIN taste AS known ON known.user_id = u.user_id AND known.item_id = p.item_id WHERE known.user_id IS NULL
) WHERE place <= 5;

-- on: ItemClicked
INSERT INTO profile (user_id, item_id, clicks) VALUES (:userId, :itemId, 1)
ON CONFLICT (user_id, item_id) DO UPDATE SET clicks = clicks + 1;

-- on: UserFollowed
INSERT INTO follows (user_id, friend_id) VALUES (:userId, :friendId) ON CONFLICT (user_id, friend_id) DO NOTHING;

-- on: ProductListed
INSERT INTO product (item_id, name, category) VALUES (:itemId, :name, :category)
ON CONFLICT (item_id) DO UPDATE SET name = excluded.name, category = excluded.category;

-- test: what is clicked by the same users is alike, and what a user knows is not recommended
-- given: {"type": "ItemClicked", "userId": "user-001", "itemId": "item-01", "timestamp": 1}
-- given: {"type": "ItemClicked", "userId": "user-001", "itemId": "item-02", "timestamp": 2}
-- given: {"type": "ItemClicked", "userId": "user-002", "itemId": "item-01", "timestamp": 3}
-- given: {"type": "ItemClicked", "userId": "user-002", "itemId": "item-03", "timestamp": 4}
-- expect: SELECT other, similarity FROM similar WHERE item = 'item-01' ORDER BY other
-- = ["item-02", 500000]
-- = ["item-03", 500000]
-- expect: SELECT user_id, place, item_id FROM top5 ORDER BY user_id
-- = ["user-001", 1, "item-03"]
-- = ["user-002", 1, "item-02"]
