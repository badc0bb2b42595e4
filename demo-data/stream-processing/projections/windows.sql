-- Revenue by the hour in which orders were placed: windows side by side, and windows that overlap by half.
-- projection: windows
-- topic: orders
-- type: $.type

CREATE TABLE tumbling (
  began   INTEGER PRIMARY KEY,
  orders  INTEGER NOT NULL,
  revenue INTEGER NOT NULL
) STRICT;

CREATE TABLE hopping (
  began   INTEGER PRIMARY KEY,
  orders  INTEGER NOT NULL,
  revenue INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO tumbling (began, orders, revenue) VALUES (:timestamp - :timestamp % 3600000, 1, :amount)
ON CONFLICT (began) DO UPDATE SET orders = orders + 1, revenue = revenue + excluded.revenue;

INSERT INTO hopping (began, orders, revenue) VALUES (:timestamp - :timestamp % 1800000, 1, :amount)
ON CONFLICT (began) DO UPDATE SET orders = orders + 1, revenue = revenue + excluded.revenue;

INSERT INTO hopping (began, orders, revenue) VALUES (:timestamp - :timestamp % 1800000 - 1800000, 1, :amount)
ON CONFLICT (began) DO UPDATE SET orders = orders + 1, revenue = revenue + excluded.revenue;
