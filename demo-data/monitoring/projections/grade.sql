-- What the monitors said, beside what really happened: the two topics of alerts, and the incidents that people wrote down.
-- projection: alert_grade
-- topic: alerts
-- topic: naive-alerts
-- topic: incidents
-- type: $.type

CREATE TABLE alert (
  monitor     TEXT NOT NULL,
  rule        TEXT NOT NULL,
  service     TEXT NOT NULL,
  raised_at   INTEGER NOT NULL,
  resolved_at INTEGER,
  PRIMARY KEY (monitor, rule, service, raised_at)
) STRICT;

CREATE TABLE truth (
  incident TEXT PRIMARY KEY,
  rule     TEXT NOT NULL,
  service  TEXT NOT NULL,
  began    INTEGER NOT NULL,
  ended    INTEGER NOT NULL
) STRICT;

-- on: AlertRaised
INSERT INTO alert (monitor, rule, service, raised_at) VALUES (:monitor, :rule, :service, :timestamp)
ON CONFLICT DO NOTHING;

-- on: AlertResolved
INSERT INTO alert VALUES (:monitor, :rule, :service, :raisedAt, :timestamp)
ON CONFLICT (monitor, rule, service, raised_at) DO UPDATE SET resolved_at = excluded.resolved_at;

-- on: IncidentLabelled
INSERT INTO truth VALUES (:incidentId, :rule, :service, :began, :ended)
ON CONFLICT (incident) DO UPDATE SET began = excluded.began, ended = excluded.ended;
