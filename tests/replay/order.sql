-- projection: in_order
-- topic: left
-- topic: right
-- type: $.type

CREATE TABLE seen (n INTEGER PRIMARY KEY, topic TEXT, part INTEGER, at INTEGER, time INTEGER) STRICT;
CREATE TABLE gone (topic TEXT, part INTEGER, at INTEGER, n INTEGER, PRIMARY KEY (topic, part, at)) STRICT, WITHOUT ROWID;

-- on: A
INSERT INTO seen SELECT coalesce(n, 0) + 1, @topic, @partition, @offset, @timestamp FROM (SELECT max(n) AS n FROM seen);

-- on: *
INSERT INTO seen SELECT coalesce(n, 0) + 1, @topic || ' other ' || :type, @partition, @offset, @timestamp FROM (SELECT max(n) AS n FROM seen);

-- on: tombstone
INSERT INTO gone SELECT @topic, @partition, @offset, n FROM (SELECT max(n) AS n FROM seen);
