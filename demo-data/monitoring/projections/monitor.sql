-- Windows of a minute for each service, four rules over them, and an incident for as long as one does not hold.
-- projection: monitor
-- topic: system-metrics
-- type: $.type

-- What each service reported, minute by minute of its own clock.
CREATE TABLE minute (
  service      TEXT NOT NULL,
  began        INTEGER NOT NULL,
  samples      INTEGER NOT NULL,
  response_sum INTEGER NOT NULL,
  requests     INTEGER NOT NULL,
  errors       INTEGER NOT NULL,
  orders       INTEGER NOT NULL,
  cpu_max      REAL NOT NULL,
  memory_max   REAL NOT NULL,
  PRIMARY KEY (service, began)
) STRICT;

CREATE TABLE service (
  service   TEXT PRIMARY KEY,
  last_seen INTEGER NOT NULL,
  cpu       REAL NOT NULL,
  memory    REAL NOT NULL
) STRICT;

-- What a rule measures now. It is raised above one line and resolved below another: what lies between changes nothing.
CREATE TABLE gauge (
  rule    TEXT NOT NULL,
  service TEXT NOT NULL,
  value   REAL NOT NULL,
  upper   REAL NOT NULL,
  lower   REAL NOT NULL,
  PRIMARY KEY (rule, service)
) STRICT;

CREATE TABLE incident (
  rule        TEXT NOT NULL,
  service     TEXT NOT NULL,
  raised_at   INTEGER NOT NULL,
  value       REAL NOT NULL,
  resolved_at INTEGER,
  -- The events that raised and resolved it.
  raised_by   TEXT NOT NULL,
  resolved_by TEXT,
  PRIMARY KEY (rule, service, raised_at)
) STRICT;

-- on: MetricsReported
INSERT INTO minute VALUES (:service, :timestamp - :timestamp % 60000, 1, :responseTime, :requests, :errors,
                           coalesce(:orders, 0), :cpuUsage, :memoryUsage)
ON CONFLICT (service, began) DO UPDATE SET samples = samples + 1, response_sum = response_sum + excluded.response_sum,
  requests = requests + excluded.requests, errors = errors + excluded.errors, orders = orders + excluded.orders,
  cpu_max = max(cpu_max, excluded.cpu_max), memory_max = max(memory_max, excluded.memory_max);

INSERT INTO service VALUES (:service, :timestamp, :cpuUsage, :memoryUsage)
ON CONFLICT (service) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen), cpu = excluded.cpu, memory = excluded.memory;

-- Average response time in milliseconds: the minutes that began in the last three.
INSERT INTO gauge
SELECT 'response time', service, 1.0 * sum(response_sum) / sum(samples), 500, 400
FROM minute WHERE service = :service AND began > :timestamp - 180000
GROUP BY service
ON CONFLICT (rule, service) DO UPDATE SET value = excluded.value;

-- Share of requests that failed, in percent: the same minutes.
INSERT INTO gauge
SELECT 'error rate', service, 100.0 * sum(errors) / sum(requests), 1, 0.8
FROM minute WHERE service = :service AND began > :timestamp - 180000
GROUP BY service HAVING sum(requests) > 0
ON CONFLICT (rule, service) DO UPDATE SET value = excluded.value;

-- By how many percent the orders of the last hour are fewer than those of the hour before, once there are two hours.
INSERT INTO gauge
SELECT 'orders', service,
       100 - 100.0 * sum(orders) FILTER (WHERE began > :timestamp - 3600000)
                   / sum(orders) FILTER (WHERE began <= :timestamp - 3600000), 50, 40
FROM minute WHERE service = :service AND began > :timestamp - 7200000
GROUP BY service
HAVING min(began) <= :timestamp - 7140000 AND sum(orders) FILTER (WHERE began <= :timestamp - 3600000) > 0
ON CONFLICT (rule, service) DO UPDATE SET value = excluded.value;

-- Milliseconds since a service was heard of. Who is silent sends nothing that could say so: the others' events tell the time.
INSERT INTO gauge
SELECT 'no data', service, :timestamp - last_seen, 120000, 60000 FROM service WHERE true
ON CONFLICT (rule, service) DO UPDATE SET value = excluded.value;

-- Above its line: an incident begins, unless it is open already.
INSERT INTO incident (rule, service, raised_at, value, raised_by)
SELECT rule, service, :timestamp, value, @partition || ':' || @offset
FROM gauge AS g
WHERE value > upper AND NOT EXISTS (
  SELECT 1 FROM incident AS i WHERE i.rule = g.rule AND i.service = g.service AND i.resolved_at IS NULL);

UPDATE incident SET resolved_at = :timestamp, resolved_by = @partition || ':' || @offset
WHERE resolved_at IS NULL AND EXISTS (
  SELECT 1 FROM gauge AS g WHERE g.rule = incident.rule AND g.service = incident.service AND g.value < g.lower);

-- Each alert binds the topic, which is the same for all events: so it is asked after every one, and is about all services.

-- alert: average response time over 500 ms
SELECT service, value, raised_at FROM incident
WHERE rule = 'response time' AND resolved_at IS NULL AND @topic IS NOT NULL;

-- alert: error rate over 1 %
SELECT service, value, raised_at FROM incident
WHERE rule = 'error rate' AND resolved_at IS NULL AND @topic IS NOT NULL;

-- alert: orders less than half of the hour before
SELECT service, value, raised_at FROM incident
WHERE rule = 'orders' AND resolved_at IS NULL AND @topic IS NOT NULL;

-- alert: no data
SELECT service, value, raised_at FROM incident
WHERE rule = 'no data' AND resolved_at IS NULL AND @topic IS NOT NULL;

-- emit: alerts on MetricsReported
SELECT service AS key,
       json_object('type', 'AlertRaised', 'monitor', 'windows', 'rule', rule, 'service', service,
                   'value', round(value, 2), 'timestamp', raised_at) AS value
FROM incident WHERE raised_by = @partition || ':' || @offset
UNION ALL
SELECT service,
       json_object('type', 'AlertResolved', 'monitor', 'windows', 'rule', rule, 'service', service,
                   'raisedAt', raised_at, 'timestamp', resolved_at)
FROM incident WHERE resolved_by = @partition || ':' || @offset;

-- test: an average that hovers between the two lines is one incident, not many
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 700, "requests": 100, "errors": 0, "timestamp": 0}
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 250, "requests": 100, "errors": 0, "timestamp": 10000}
-- expect: SELECT value > 400 AND value < 500 FROM gauge WHERE rule = 'response time'
-- expect: SELECT count(*), count(resolved_at) FROM incident
-- = [1, 0]
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 700, "requests": 100, "errors": 0, "timestamp": 20000}
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 100, "requests": 100, "errors": 0, "timestamp": 300000}
-- expect: SELECT count(*), count(resolved_at) FROM incident
-- = [1, 1]

-- test: whoever is silent is missed by the others' clock, and is back with its next word
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 9, "requests": 100, "errors": 0, "timestamp": 0}
-- given: {"type": "MetricsReported", "service": "b", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 9, "requests": 100, "errors": 0, "timestamp": 120000}
-- expect: SELECT count(*) FROM incident
-- = [0]
-- given: {"type": "MetricsReported", "service": "b", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 9, "requests": 100, "errors": 0, "timestamp": 120001}
-- expect: SELECT rule, service, raised_at, resolved_at FROM incident
-- = ["no data", "a", 120001, null]
-- given: {"type": "MetricsReported", "service": "a", "cpuUsage": 1, "memoryUsage": 1, "responseTime": 9, "requests": 100, "errors": 0, "timestamp": 130000}
-- expect: SELECT resolved_at FROM incident
-- = [130000]
