-- A search index over the products: which words stand in which.
-- projection: search
-- topic: db-changes
-- type: $.op

CREATE TABLE word (
  word       TEXT NOT NULL,
  product_id INTEGER NOT NULL,
  PRIMARY KEY (word, product_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX word_of ON word (product_id);

-- The words that stood there go, the words that stand there now come.
-- on: *
DELETE FROM word WHERE product_id = $after::id AND $source::table = 'product';

INSERT INTO word (word, product_id)
WITH RECURSIVE piece (word, rest) AS (
  SELECT '', lower(replace($after::name || ' ' || $after::description, ',', '')) || ' ' WHERE $source::table = 'product'
  UNION ALL
  SELECT substr(rest, 1, instr(rest, ' ') - 1), substr(rest, instr(rest, ' ') + 1) FROM piece WHERE rest <> ''
)
SELECT DISTINCT word, $after::id FROM piece WHERE word <> '';

-- on: d
DELETE FROM word WHERE product_id = $before::id AND $source::table = 'product';

-- test: words come and go with the text
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Mouse", "description": "wireless, quiet mouse"}, "source": {"table": "product"}}
-- given: {"op": "u", "before": {"id": 1}, "after": {"id": 1, "name": "Mouse", "description": "quiet"}, "source": {"table": "product"}}
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Ada", "city": "London"}, "source": {"table": "customer"}}
-- expect: SELECT word FROM word ORDER BY word
-- = "mouse"
-- = "quiet"
