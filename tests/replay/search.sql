-- A full-text index: rows by their rowid, replaced, moved, deleted by what they say; its shadow tables are in no dump.
-- projection: search
-- topic: logs
-- type: $.type

CREATE VIRTUAL TABLE entry USING fts5(message, service UNINDEXED, tokenize = 'porter unicode61', prefix = '2 3');

CREATE TABLE hit (
  word  TEXT PRIMARY KEY,
  found TEXT
) STRICT;

-- on: Said
INSERT INTO entry (rowid, message, service) VALUES (:id, :text, :service);

-- on: Next
INSERT INTO entry (message, service) VALUES (:text, :service);

-- on: Edited
UPDATE entry SET message = :text WHERE rowid = :id;

-- on: Unsaid
DELETE FROM entry WHERE entry MATCH :text;

-- on: Asked
INSERT INTO hit SELECT :text, group_concat(rowid) FROM (SELECT rowid FROM entry WHERE entry MATCH :text ORDER BY rank, rowid) WHERE true
ON CONFLICT (word) DO UPDATE SET found = excluded.found;
