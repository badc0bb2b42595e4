-- Clicks as they come: each with its place in the log, and how many an item got in each hour.
-- projection: clicks
-- topic: user-clicks
-- topic: product-info
-- type: $.type

CREATE TABLE click (
  partition INTEGER NOT NULL,
  "offset"  INTEGER NOT NULL,
  user_id   TEXT NOT NULL,
  item_id   TEXT NOT NULL,
  at        INTEGER NOT NULL,
  PRIMARY KEY (partition, "offset")
) STRICT, WITHOUT ROWID;

CREATE TABLE hourly (
  began   INTEGER NOT NULL,
  item_id TEXT NOT NULL,
  clicks  INTEGER NOT NULL,
  PRIMARY KEY (began, item_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE product (
  item_id  TEXT PRIMARY KEY,
  name     TEXT NOT NULL,
  category TEXT NOT NULL
) STRICT;

-- Joined when it is read: a click does not have to wait for what is known of its item.
CREATE VIEW trend AS
SELECT began, category, sum(clicks) AS clicks FROM hourly JOIN product USING (item_id) GROUP BY began, category;

-- on: ItemClicked
INSERT INTO click (partition, "offset", user_id, item_id, at) VALUES (@partition, @offset, :userId, :itemId, :timestamp);

INSERT INTO hourly (began, item_id, clicks) VALUES (:timestamp - :timestamp % 3600000, :itemId, 1)
ON CONFLICT (began, item_id) DO UPDATE SET clicks = clicks + 1;

-- on: ProductListed
INSERT INTO product (item_id, name, category) VALUES (:itemId, :name, :category)
ON CONFLICT (item_id) DO UPDATE SET name = excluded.name, category = excluded.category;

-- test: a window is of the hour in which an item was clicked, and finds its category whichever comes first
-- given: {"type": "ItemClicked", "userId": "user-001", "itemId": "item-01", "timestamp": 3600001}
-- given: {"type": "ItemClicked", "userId": "user-002", "itemId": "item-01", "timestamp": 3599999}
-- given: {"type": "ProductListed", "itemId": "item-01", "name": "Tent", "category": "outdoor"}
-- expect: SELECT began, category, clicks FROM trend
-- = [0, "outdoor", 1]
-- = [3600000, "outdoor", 1]
