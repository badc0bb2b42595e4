/* A file that uses all that the format has. */
-- projection: _all_1
-- topic: b.topic, a-topic
-- topic: c_topic
-- type: $.meta.events[0]."kind of"
create table if not exists "a;b" (k TEXT PRIMARY KEY, v, n INTEGER DEFAULT 0, at TEXT DEFAULT (datetime(0, 'unixepoch'))) without rowid;
CREATE UNIQUE INDEX i ON "a;b" (v) WHERE v IS NOT NULL;
CREATE TABLE date (id TEXT PRIMARY KEY) STRICT

-- on: Confirmation of receipt: part 2
REPLACE INTO "a;b" (k, v) VALUES ($order::items::0::sku, :v || ';' || ':v');
WITH x(a) AS (SELECT :v UNION SELECT $order::id) INSERT INTO date (id) SELECT a FROM x WHERE a = :v AND a <> @key
-- on: "tombstone"
DELETE FROM "a;b" WHERE [k] = @topic || @partition || @offset;; ;
-- on: tombstone
DELETE FROM "a;b" WHERE k = @key -- the last one
-- on: *
-- Note: a remark may begin like this, -- on: as well
UPDATE "a;b" SET n = n + 1, v = strftime('%Y', @timestamp / 1000, 'unixepoch') WHERE v = @value AND @headers IS NOT NULL;
-- on: *
UPDATE "a;b" SET v = 'now', n = $type WHERE k = $n
