-- projection: metrics
-- topic: system-metrics
CREATE TABLE metric (service TEXT PRIMARY KEY, n INTEGER NOT NULL, slowest REAL) STRICT;
-- on: *
INSERT INTO metric VALUES (:service, 1, :responseTime)
ON CONFLICT DO UPDATE SET n = n + 1, slowest = max(slowest, excluded.slowest);
