-- Carries actions out: sends the SMS, asks for the second factor, freezes. Counted by event, so that one that fires twice is seen.
-- projection: actions
-- topic: risk-actions
-- type: $.type

CREATE TABLE performed (
  event_id TEXT PRIMARY KEY,
  user_id  TEXT NOT NULL,
  action   TEXT NOT NULL,
  reason   TEXT NOT NULL,
  times    INTEGER NOT NULL
) STRICT;

-- on: RiskAction
INSERT INTO performed (event_id, user_id, action, reason, times) VALUES (:eventId, :userId, :action, :reason, 1)
ON CONFLICT (event_id) DO UPDATE SET times = times + 1;
