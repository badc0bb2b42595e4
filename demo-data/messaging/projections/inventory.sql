-- How many pieces of each product went out of the store.
-- projection: inventory
-- topic: order-events
-- type: $.type

CREATE TABLE stock (
  product TEXT PRIMARY KEY,
  sold    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- on: OrderPlaced
INSERT INTO stock (product, sold)
SELECT value ->> 'productId', value ->> 'quantity' FROM json_each(:products) WHERE true
ON CONFLICT (product) DO UPDATE SET sold = sold + excluded.sold;
