-- Who came, stayed, and how far they went: sessions, each with the step of the funnel that it reached.
-- projection: journeys
-- topic: user-actions
-- type: $.action

CREATE TABLE seen (
  event_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- A session is over when its user did nothing for a quarter of an hour. Step 1 is a look at a page, 2 something put into
-- the cart after that, 3 a purchase after that.
CREATE TABLE session (
  user_id TEXT NOT NULL,
  began   INTEGER NOT NULL,
  ended   INTEGER NOT NULL,
  actions INTEGER NOT NULL,
  step    INTEGER NOT NULL,
  PRIMARY KEY (user_id, began)
) STRICT, WITHOUT ROWID;

CREATE VIEW funnel AS
SELECT 1 AS step, 'looked' AS name, count(*) AS sessions FROM session WHERE step >= 1
UNION ALL SELECT 2, 'put into the cart', count(*) FROM session WHERE step >= 2
UNION ALL SELECT 3, 'bought', count(*) FROM session WHERE step >= 3;

-- on: view
INSERT INTO session (user_id, began, ended, actions, step)
SELECT :userId, :timestamp, :timestamp, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
  AND NOT EXISTS (SELECT 1 FROM session WHERE user_id = :userId AND ended > :timestamp - 900000);

UPDATE session SET ended = :timestamp, actions = actions + 1, step = max(step, 1)
WHERE user_id = :userId AND began = (SELECT max(began) FROM session WHERE user_id = :userId)
  AND NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- on: click
INSERT INTO session (user_id, began, ended, actions, step)
SELECT :userId, :timestamp, :timestamp, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
  AND NOT EXISTS (SELECT 1 FROM session WHERE user_id = :userId AND ended > :timestamp - 900000);

UPDATE session SET ended = :timestamp, actions = actions + 1, step = CASE step WHEN 1 THEN 2 ELSE step END
WHERE user_id = :userId AND began = (SELECT max(began) FROM session WHERE user_id = :userId)
  AND NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- on: purchase
INSERT INTO session (user_id, began, ended, actions, step)
SELECT :userId, :timestamp, :timestamp, 0, 0
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
  AND NOT EXISTS (SELECT 1 FROM session WHERE user_id = :userId AND ended > :timestamp - 900000);

UPDATE session SET ended = :timestamp, actions = actions + 1, step = CASE step WHEN 2 THEN 3 ELSE step END
WHERE user_id = :userId AND began = (SELECT max(began) FROM session WHERE user_id = :userId)
  AND NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- test: a quarter of an hour of silence ends a session, and the funnel has an order
-- given: {"eventId": "e1", "userId": "u1", "action": "view", "timestamp": 0}
-- given: {"eventId": "e2", "userId": "u1", "action": "click", "timestamp": 60000}
-- given: {"eventId": "e3", "userId": "u1", "action": "purchase", "timestamp": 120000}
-- given: {"eventId": "e3", "userId": "u1", "action": "purchase", "timestamp": 120000}
-- given: {"eventId": "e4", "userId": "u1", "action": "click", "timestamp": 1020000}
-- expect: SELECT began, ended, actions, step FROM session
-- = [0, 120000, 3, 3]
-- = [1020000, 1020000, 1, 0]
-- expect: SELECT sessions FROM funnel ORDER BY step
-- = 1
-- = 1
-- = 1
