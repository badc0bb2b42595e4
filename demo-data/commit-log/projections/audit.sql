-- How often each setting was changed. This needs every change: from a compacted log it cannot be folded again.
-- projection: audit
-- topic: settings
-- type: $.type

CREATE TABLE changes (
  name  TEXT PRIMARY KEY,
  times INTEGER NOT NULL
) STRICT;

-- on: SettingChanged
INSERT INTO changes VALUES (:name, 1) ON CONFLICT (name) DO UPDATE SET times = times + 1;

-- on: tombstone
INSERT INTO changes VALUES (@key, 1) ON CONFLICT (name) DO UPDATE SET times = times + 1;
