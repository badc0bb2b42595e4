-- projection: untyped
-- topic: system-metrics
CREATE TABLE m (service TEXT PRIMARY KEY, n INTEGER) STRICT;
-- on: *
INSERT INTO m VALUES (:service, 1) ON CONFLICT DO UPDATE SET n = n + 1;
