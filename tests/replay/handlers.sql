-- projection: handlers
-- topic: t
-- type: $.type

CREATE TABLE item (id TEXT PRIMARY KEY, amount INTEGER, note TEXT) STRICT;
CREATE TABLE seen (id TEXT NOT NULL, at INTEGER NOT NULL, amount INTEGER, PRIMARY KEY (id, at)) STRICT;

-- Handlers of one type run in file order, whatever stands between them: the second sees what the first wrote.
-- on: Changed
INSERT INTO item VALUES (:id, :amount, :nott)
ON CONFLICT (id) DO UPDATE SET amount = excluded.amount,
  note = $meta::note;

-- on: tombstone
DELETE FROM item WHERE id = :id;

-- on: Changed
INSERT INTO seen SELECT id, @offset, amount FROM item WHERE id = :id;

-- on: Never
DELETE FROM item WHERE id = :idd;

-- on: *
UPDATE item SET note = :type WHERE id = :id;
