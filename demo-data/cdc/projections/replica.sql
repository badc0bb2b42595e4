-- The source's tables once more: each row as its last change left it.
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
  city TEXT NOT NULL
) STRICT;

-- A row that was read, created or updated is written as it is now: the same event twice leaves the same row.
-- on: *
INSERT INTO product (id, name, description, price, stock)
SELECT $after::id, $after::name, $after::description, $after::price, $after::stock WHERE $source::table = 'product'
ON CONFLICT (id) DO UPDATE SET name = excluded.name, description = excluded.description, price = excluded.price,
  stock = excluded.stock;

INSERT INTO customer (id, name, city)
SELECT $after::id, $after::name, $after::city WHERE $source::table = 'customer'
ON CONFLICT (id) DO UPDATE SET name = excluded.name, city = excluded.city;

-- on: d
DELETE FROM product WHERE id = $before::id AND $source::table = 'product';
DELETE FROM customer WHERE id = $before::id AND $source::table = 'customer';

-- test: a row is created, changed twice the same way, and deleted; the tombstone says nothing new
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Ada", "city": "London"}, "source": {"table": "customer"}}
-- given: {"op": "u", "before": {"id": 1}, "after": {"id": 1, "name": "Ada", "city": "Bath"}, "source": {"table": "customer"}}
-- given: {"op": "u", "before": {"id": 1}, "after": {"id": 1, "name": "Ada", "city": "Bath"}, "source": {"table": "customer"}}
-- expect: SELECT id, name, city FROM customer
-- = [1, "Ada", "Bath"]
-- given: {"op": "d", "before": {"id": 1, "name": "Ada", "city": "Bath"}, "after": null, "source": {"table": "customer"}}
-- expect: SELECT * FROM customer
-- = no rows
