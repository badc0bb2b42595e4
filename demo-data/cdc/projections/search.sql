-- A search index over the products, as a search engine keeps it: which words stand in which, each product under its number.
-- projection: search
-- topic: db-changes
-- type: $.op

-- Words are taken apart as in English: `sockets` is found by `socket`.
CREATE VIRTUAL TABLE product USING fts5(name, description, tokenize = 'porter unicode61');

-- The text that stood there goes, the text that stands there now comes.
-- on: *
DELETE FROM product WHERE rowid = $after::id AND $source::table = 'product';

INSERT INTO product (rowid, name, description)
SELECT $after::id, $after::name, $after::description WHERE $source::table = 'product';

-- on: d
DELETE FROM product WHERE rowid = $before::id AND $source::table = 'product';

-- test: a product is found by the words that it has now, in any form, and by no others
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Mouse", "description": "wireless, with two buttons"}, "source": {"table": "product"}}
-- given: {"op": "u", "before": {"id": 1}, "after": {"id": 1, "name": "Mouse", "description": "quiet, with two buttons"}, "source": {"table": "product"}}
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Ada", "city": "London"}, "source": {"table": "customer"}}
-- expect: SELECT rowid FROM product WHERE product MATCH 'quiet button'
-- = [1]
-- expect: SELECT rowid FROM product WHERE product MATCH 'wireless OR ada'
-- = no rows

-- test: what is deleted is found no more
-- given: {"op": "c", "before": null, "after": {"id": 1, "name": "Mouse", "description": "wireless"}, "source": {"table": "product"}}
-- given: {"op": "d", "before": {"id": 1, "name": "Mouse", "description": "wireless"}, "after": null, "source": {"table": "product"}}
-- expect: SELECT rowid FROM product
-- = no rows
