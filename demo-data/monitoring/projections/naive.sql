-- What most begin with: each sample alone is held against the line, up and down.
-- projection: naive_monitor
-- topic: system-metrics
-- type: $.type

CREATE TABLE gauge (
  rule    TEXT NOT NULL,
  service TEXT NOT NULL,
  value   REAL NOT NULL,
  upper   REAL NOT NULL,
  PRIMARY KEY (rule, service)
) STRICT;

CREATE TABLE incident (
  rule        TEXT NOT NULL,
  service     TEXT NOT NULL,
  raised_at   INTEGER NOT NULL,
  value       REAL NOT NULL,
  resolved_at INTEGER,
  raised_by   TEXT NOT NULL,
  resolved_by TEXT,
  PRIMARY KEY (rule, service, raised_at)
) STRICT;

-- on: MetricsReported
INSERT INTO gauge VALUES ('response time', :service, :responseTime, 500), ('error rate', :service, 100.0 * :errors / :requests, 1)
ON CONFLICT (rule, service) DO UPDATE SET value = excluded.value;

INSERT INTO incident (rule, service, raised_at, value, raised_by)
SELECT rule, service, :timestamp, value, @partition || ':' || @offset
FROM gauge AS g
WHERE value > upper AND NOT EXISTS (
  SELECT 1 FROM incident AS i WHERE i.rule = g.rule AND i.service = g.service AND i.resolved_at IS NULL);

UPDATE incident SET resolved_at = :timestamp, resolved_by = @partition || ':' || @offset
WHERE resolved_at IS NULL AND EXISTS (
  SELECT 1 FROM gauge AS g WHERE g.rule = incident.rule AND g.service = incident.service AND g.value <= g.upper);

-- alert: a sample over its line
SELECT rule || ', ' || service AS what, value FROM incident WHERE resolved_at IS NULL AND @topic IS NOT NULL;

-- emit: naive-alerts on MetricsReported
SELECT service AS key,
       json_object('type', 'AlertRaised', 'monitor', 'samples', 'rule', rule, 'service', service,
                   'value', round(value, 2), 'timestamp', raised_at) AS value
FROM incident WHERE raised_by = @partition || ':' || @offset
UNION ALL
SELECT service,
       json_object('type', 'AlertResolved', 'monitor', 'samples', 'rule', rule, 'service', service,
                   'raisedAt', raised_at, 'timestamp', resolved_at)
FROM incident WHERE resolved_by = @partition || ':' || @offset;
