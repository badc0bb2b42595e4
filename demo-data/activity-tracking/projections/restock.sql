-- The stream of sales, turned into a stream of re-orders: 30 pieces of a product lie on the shelf, and 30 more are ordered
-- each time when 10 are left.
-- projection: restock
-- topic: sales
-- type: $.type

CREATE TABLE shelf (
  product_id TEXT PRIMARY KEY,
  sold       INTEGER NOT NULL,
  ordered    INTEGER NOT NULL GENERATED ALWAYS AS (30 * ((sold + 10) / 30)) STORED,
  in_stock   INTEGER NOT NULL GENERATED ALWAYS AS (30 + 30 * ((sold + 10) / 30) - sold) STORED
) STRICT;

-- on: Sold
INSERT INTO shelf (product_id, sold) VALUES (:productId, :quantity)
ON CONFLICT (product_id) DO UPDATE SET sold = sold + excluded.sold;

-- emit: re-orders on Sold
SELECT product_id AS key,
       json_object('type', 'ReOrder', 'productId', product_id, 'number', (sold + 10) / 30, 'quantity', 30) AS value
FROM shelf WHERE product_id = :productId AND (sold + 10) / 30 > (sold - :quantity + 10) / 30;

-- test: thirty more when ten are left
-- given: {"type": "Sold", "saleId": "e1", "productId": "lamp", "quantity": 19}
-- given: {"type": "Sold", "saleId": "e2", "productId": "mouse", "quantity": 20}
-- given: {"type": "Sold", "saleId": "e3", "productId": "mouse", "quantity": 3}
-- expect: SELECT product_id, sold, ordered, in_stock FROM shelf
-- = ["lamp", 19, 0, 11]
-- = ["mouse", 23, 30, 37]
