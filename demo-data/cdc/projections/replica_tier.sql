-- The source's tables once more, with the column that was added: events from before do not have it.
-- projection: replica
-- topic: db-changes
-- type: $.op

CREATE TABLE product (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  price       INTEGER NOT NULL,
  stock       INTEGER NOT NULL
) STRICT;

CREATE TABLE customer (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  city TEXT NOT NULL,
  tier TEXT NOT NULL
) STRICT;

-- A row that was read, created or updated is written as it is now: the same event twice leaves the same row.
-- on: *
INSERT INTO product (id, name, description, price, stock)
SELECT $after::id, $after::name, $after::description, $after::price, $after::stock WHERE $source::table = 'product'
ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, price = excluded.price,
  stock = excluded.stock;

INSERT INTO customer (id, name, city, tier)
SELECT $after::id, $after::name, $after::city, coalesce($after::tier, 'basic') WHERE $source::table = 'customer'
ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city, tier = excluded.tier;

-- on: d
DELETE FROM product WHERE id = $before::id AND $source::table = 'product';
DELETE FROM customer WHERE id = $before::id AND $source::table = 'customer';

-- test: an event from before the column was added
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Ada", "city": "London"}, "source": {"table": "customer"}}
-- given: {"op": "c", "before": null, "after": {"id": 2, "name": "Bo", "city": "Malmö", "tier": "gold"}, "source": {"table": "customer"}}
-- expect: SELECT id, tier FROM customer ORDER BY id
-- = [1, "basic"]
-- = [2, "gold"]
