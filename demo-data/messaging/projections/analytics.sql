-- Orders and revenue of each hour of the events' own time.
-- projection: analytics
-- topic: order-events
-- type: $.type

CREATE TABLE hour (
  began   INTEGER PRIMARY KEY,
  orders  INTEGER NOT NULL,
  revenue INTEGER NOT NULL
) STRICT;

-- on: OrderPlaced
INSERT INTO hour (began, orders, revenue)
SELECT :timestamp - :timestamp % 3600000, 1, sum((value ->> 'price') * (value ->> 'quantity')) FROM json_each(:products) WHERE true
ON CONFLICT (began) DO UPDATE SET orders = orders + 1, revenue = revenue + excluded.revenue;
