-- How long each action took, from the arrival of what the user did to that of the action: both are the broker's times.
-- projection: latency
-- topic: risk-actions
-- type: $.type

CREATE TABLE latency (
  event_id TEXT PRIMARY KEY,
  action   TEXT NOT NULL,
  at       INTEGER NOT NULL,
  ms       INTEGER NOT NULL
) STRICT;

-- on: RiskAction
INSERT INTO latency (event_id, action, at, ms) VALUES (:eventId, :action, @timestamp, @timestamp - :behaviourAt)
ON CONFLICT (event_id) DO NOTHING;
