-- Transform: what the API calls an order becomes sales, with whole cents and a day. An order that is extracted twice is one.
-- projection: transform
-- topic: shop-api
-- type: $.type

CREATE TABLE sale (
  id        TEXT PRIMARY KEY,
  sku       TEXT NOT NULL,
  pieces    INTEGER NOT NULL CHECK (pieces > 0),
  cents     INTEGER NOT NULL CHECK (cents > 0),
  shop      TEXT NOT NULL,
  day       TEXT NOT NULL,
  partition INTEGER NOT NULL,
  "offset"  INTEGER NOT NULL
) STRICT;

-- on: ApiOrder
INSERT INTO sale
SELECT :id, line.value ->> 'sku', line.value ->> 'qty',
       CAST(round((line.value ->> 'price') * 100) AS INTEGER) * (line.value ->> 'qty'),
       :shop, date(:created / 1000, 'unixepoch'), @partition, @offset
FROM json_each(:lines) AS line WHERE true
ON CONFLICT (id) DO NOTHING;

-- emit: sales on ApiOrder
SELECT sku AS key, json_object('type', 'Sale', 'orderId', id, 'sku', sku, 'pieces', pieces, 'cents', cents, 'shop', shop, 'day', day) AS value
FROM sale WHERE id = :id AND partition = @partition AND "offset" = @offset;

-- test: a price is text with a point, and becomes cents
-- given: {"type": "ApiOrder", "id": "web-1", "shop": "north", "lines": [{"sku": "sku-01", "qty": 3, "price": "19.95"}], "created": 1728950400000}
-- expect: SELECT id, pieces, cents, day FROM sale
-- = ["web-1", 3, 5985, "2024-10-15"]

-- test: an order that the API hands over twice is one
-- given: {"type": "ApiOrder", "id": "web-1", "shop": "north", "lines": [{"sku": "sku-01", "qty": 1, "price": "1.00"}], "created": 0}
-- given: {"type": "ApiOrder", "id": "web-1", "shop": "north", "lines": [{"sku": "sku-01", "qty": 1, "price": "1.00"}], "created": 0}
-- expect: SELECT count(*) FROM sale
-- = 1

-- test: a row that is no order is quarantined
-- given: {"type": "ApiOrder", "id": "web-1", "shop": "north", "lines": [{"sku": "sku-01", "qty": "two", "price": "free"}], "created": 0}
-- expect poison: cannot store TEXT value in INTEGER column sale.pieces
-- expect: SELECT * FROM sale
-- = no rows
