-- Load: what the dashboard shows. Sums alone, so that the order between the two topics does not matter.
-- projection: dashboard
-- topic: sales
-- topic: stock-rows
-- type: $.type

CREATE TABLE day (
  day    TEXT NOT NULL,
  shop   TEXT NOT NULL,
  orders INTEGER NOT NULL,
  pieces INTEGER NOT NULL,
  cents  INTEGER NOT NULL,
  PRIMARY KEY (day, shop)
) STRICT;

CREATE TABLE stock (
  sku      TEXT PRIMARY KEY,
  received INTEGER NOT NULL,
  sold     INTEGER NOT NULL
) STRICT;

-- on: Sale
INSERT INTO day VALUES (:day, :shop, 1, :pieces, :cents)
ON CONFLICT (day, shop) DO UPDATE SET
  orders = orders + 1, pieces = pieces + excluded.pieces, cents = cents + excluded.cents;
INSERT INTO stock VALUES (:sku, 0, :pieces) ON CONFLICT (sku) DO UPDATE SET sold = sold + excluded.sold;

-- on: GoodsIn
INSERT INTO stock VALUES (:sku, :pieces, 0) ON CONFLICT (sku) DO UPDATE SET received = received + excluded.received;

-- alert: low stock
SELECT sku, received - sold AS pieces FROM stock WHERE received - sold < 60;
