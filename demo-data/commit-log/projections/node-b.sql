-- The state of one node: the last value of each setting, and the place of the change that set it.
-- projection: node_b
-- topic: settings
-- type: $.type

CREATE TABLE setting (
  name       TEXT PRIMARY KEY,
  value      INTEGER NOT NULL,
  changed_by TEXT NOT NULL,
  changed_at INTEGER NOT NULL,
  partition  INTEGER NOT NULL,
  "offset"   INTEGER NOT NULL
) STRICT;

-- on: SettingChanged
INSERT INTO setting VALUES (:name, :value, :changedBy, :timestamp, @partition, @offset)
ON CONFLICT (name) DO UPDATE SET
  value = excluded.value, changed_by = excluded.changed_by, changed_at = excluded.changed_at,
  partition = excluded.partition, "offset" = excluded."offset";

-- on: tombstone
DELETE FROM setting WHERE name = @key;

-- test: the last value counts, and a tombstone takes a setting away
-- given envelope: {"key": "shop.01", "value": {"type": "SettingChanged", "name": "shop.01", "value": 3, "changedBy": "ada", "timestamp": 1}}
-- given envelope: {"key": "shop.02", "value": {"type": "SettingChanged", "name": "shop.02", "value": 7, "changedBy": "bo", "timestamp": 2}}
-- given envelope: {"key": "shop.01", "value": {"type": "SettingChanged", "name": "shop.01", "value": 4, "changedBy": "cy", "timestamp": 3}}
-- given envelope: {"key": "shop.02", "value": null}
-- expect: SELECT name, value, changed_by, "offset" FROM setting
-- = ["shop.01", 4, "cy", 2]
