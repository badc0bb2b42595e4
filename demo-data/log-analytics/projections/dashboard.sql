-- What a dashboard shows: lines, errors and latency of each service by the minute.
-- projection: log_dashboard
-- topic: logs
-- topic: web-logs
-- type: $.service

CREATE TABLE minute (
  service TEXT NOT NULL,
  began   INTEGER NOT NULL,
  lines   INTEGER NOT NULL,
  errors  INTEGER NOT NULL,
  PRIMARY KEY (service, began)
) STRICT;

-- How many requests took how long: buckets that double. Quantiles come from it, and two of them can be added, which averages cannot.
CREATE TABLE latency (
  service  TEXT NOT NULL,
  up_to_ms INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (service, up_to_ms)
) STRICT;

-- How far each file of the agent was counted: what it sends twice is behind that. The id of a line is UUID-FILE-OFFSET.
CREATE TABLE counted (
  file  INTEGER PRIMARY KEY,
  up_to INTEGER NOT NULL
) STRICT;

-- on: *
-- A service says its level; the access log has a status instead.
INSERT INTO minute
SELECT coalesce(:service, 'web'), @timestamp - @timestamp % 60000, 1,
       upper(coalesce(:level, '')) = 'ERROR' OR coalesce($http::response::status_code, 0) >= 500
WHERE NOT EXISTS (SELECT 1 FROM counted
                  WHERE file = CAST(substr(@headers ->> '$[0][1]', 38) AS INTEGER) AND up_to >= $log::offset)
ON CONFLICT (service, began) DO UPDATE SET lines = lines + 1, errors = errors + excluded.errors;

INSERT INTO latency
SELECT coalesce(:service, 'web'), CASE WHEN ms <= 25 THEN 25 WHEN ms <= 50 THEN 50 WHEN ms <= 100 THEN 100 WHEN ms <= 200 THEN 200
       WHEN ms <= 400 THEN 400 WHEN ms <= 800 THEN 800 WHEN ms <= 1600 THEN 1600 ELSE 3200 END, 1
FROM (SELECT coalesce(:durationMs, $event::duration / 1000000) AS ms)
WHERE ms IS NOT NULL AND NOT EXISTS (SELECT 1 FROM counted
                  WHERE file = CAST(substr(@headers ->> '$[0][1]', 38) AS INTEGER) AND up_to >= $log::offset)
ON CONFLICT (service, up_to_ms) DO UPDATE SET requests = requests + 1;

INSERT INTO counted
SELECT file, $log::offset FROM (SELECT CAST(substr(@headers ->> '$[0][1]', 38) AS INTEGER) AS file) WHERE file IS NOT NULL
ON CONFLICT (file) DO UPDATE SET up_to = max(up_to, excluded.up_to);

-- test: a line that its agent sends twice is counted once, one of another file is another
-- given envelope: {"topic": "web-logs", "offset": 0, "timestamp": 9, "headers": {"foldlog-id": "00000000-0000-0000-0000-000000000000-2-119"}, "value": {"log": {"offset": 119}, "http": {"response": {"status_code": 500}}}}
-- given envelope: {"topic": "web-logs", "offset": 1, "timestamp": 9, "headers": {"foldlog-id": "00000000-0000-0000-0000-000000000000-2-119"}, "value": {"log": {"offset": 119}, "http": {"response": {"status_code": 500}}}}
-- given envelope: {"topic": "web-logs", "offset": 2, "timestamp": 9, "headers": {"foldlog-id": "00000000-0000-0000-0000-000000000000-3-0"}, "value": {"log": {"offset": 0}, "http": {"response": {"status_code": 200}}}}
-- expect: SELECT service, lines, errors FROM minute
-- = ["web", 2, 1]
