-- A cache: the newest row under a name, as a key-value store has it, for whoever looks up one thing.
-- projection: cache
-- topic: db-changes
-- type: $.op

CREATE TABLE entry (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- on: *
INSERT INTO entry (name, value) VALUES ($source::table || ':' || $after::id, @value -> '$.after')
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- on: d
DELETE FROM entry WHERE name = $source::table || ':' || $before::id;

-- test: the newest row under its name
-- given: {"op": "r", "before": null, "after": {"id": 7, "price": 120}, "source": {"table": "product"}}
-- given: {"op": "u", "before": {"id": 7, "price": 120}, "after": {"id": 7, "price": 99}, "source": {"table": "product"}}
-- expect: SELECT name, value ->> 'price' FROM entry
-- = ["product:7", 99]
