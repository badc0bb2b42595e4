-- The numbers of a wall screen: each event counts once, however often it is sent.
-- projection: board
-- topic: user-actions
-- type: $.action

-- Which events were counted. A client that got no answer sends its event again, with the same id.
CREATE TABLE seen (
  event_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE minute (
  began       INTEGER PRIMARY KEY,
  actions     INTEGER NOT NULL,
  views       INTEGER NOT NULL,
  errors      INTEGER NOT NULL,
  response_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE page (
  page  TEXT PRIMARY KEY,
  views INTEGER NOT NULL
) STRICT;

CREATE TABLE page_visitor (
  page    TEXT NOT NULL,
  user_id TEXT NOT NULL,
  PRIMARY KEY (page, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE visitor (
  user_id   TEXT PRIMARY KEY,
  actions   INTEGER NOT NULL,
  last_seen INTEGER NOT NULL
) STRICT;

CREATE TABLE day (
  day     TEXT PRIMARY KEY,
  orders  INTEGER NOT NULL,
  revenue INTEGER NOT NULL
) STRICT;

-- The screen itself. Its now is the newest event's time, so that it can be looked at for any moment of the past.
CREATE VIEW screen AS
SELECT (SELECT count(*) FROM visitor WHERE last_seen > (SELECT max(last_seen) FROM visitor) - 300000) AS online_users,
       (SELECT orders FROM day ORDER BY day DESC LIMIT 1) AS orders_today,
       sum(views) AS page_views,
       (SELECT count(*) FROM visitor) AS unique_visitors,
       round(1.0 * sum(response_ms) / sum(actions), 1) AS response_ms,
       round(100.0 * sum(errors) / sum(actions), 2) AS error_percent
FROM minute;

-- on: purchase
INSERT INTO day (day, orders, revenue)
SELECT date(:timestamp / 1000, 'unixepoch'), 1, $data::price * $data::quantity
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (day) DO UPDATE SET orders = orders + 1, revenue = revenue + excluded.revenue;

INSERT INTO minute (began, actions, views, errors, response_ms)
SELECT :timestamp - :timestamp % 60000, 1, 0, $data::status >= 500, $data::responseMs
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (began) DO UPDATE SET actions = actions + 1, errors = errors + excluded.errors,
  response_ms = response_ms + excluded.response_ms;

INSERT INTO visitor (user_id, actions, last_seen)
SELECT :userId, 1, :timestamp WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (user_id) DO UPDATE SET actions = actions + 1, last_seen = max(last_seen, excluded.last_seen);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- on: view
INSERT INTO minute (began, actions, views, errors, response_ms)
SELECT :timestamp - :timestamp % 60000, 1, 1, $data::status >= 500, $data::responseMs
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (began) DO UPDATE SET actions = actions + 1, views = views + 1, errors = errors + excluded.errors,
  response_ms = response_ms + excluded.response_ms;

INSERT INTO page (page, views)
SELECT :page, 1 WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (page) DO UPDATE SET views = views + 1;

INSERT INTO page_visitor (page, user_id) VALUES (:page, :userId) ON CONFLICT (page, user_id) DO NOTHING;

INSERT INTO visitor (user_id, actions, last_seen)
SELECT :userId, 1, :timestamp WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (user_id) DO UPDATE SET actions = actions + 1, last_seen = max(last_seen, excluded.last_seen);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- on: click
INSERT INTO minute (began, actions, views, errors, response_ms)
SELECT :timestamp - :timestamp % 60000, 1, 0, $data::status >= 500, $data::responseMs
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (began) DO UPDATE SET actions = actions + 1, errors = errors + excluded.errors,
  response_ms = response_ms + excluded.response_ms;

INSERT INTO visitor (user_id, actions, last_seen)
SELECT :userId, 1, :timestamp WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (user_id) DO UPDATE SET actions = actions + 1, last_seen = max(last_seen, excluded.last_seen);

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- test: an event that is sent twice counts once
-- given: {"eventId": "e1", "userId": "u1", "action": "view", "page": "/", "timestamp": 60000, "data": {"status": 200, "responseMs": 100}}
-- given: {"eventId": "e1", "userId": "u1", "action": "view", "page": "/", "timestamp": 60000, "data": {"status": 200, "responseMs": 100}}
-- given: {"eventId": "e2", "userId": "u1", "action": "view", "page": "/", "timestamp": 61000, "data": {"status": 500, "responseMs": 300}}
-- expect: SELECT page_views, unique_visitors, response_ms, error_percent FROM screen
-- = [2, 1, 200.0, 50.0]

-- test: online is who did something in the last five minutes
-- given: {"eventId": "e1", "userId": "u1", "action": "click", "page": "/", "timestamp": 1000, "data": {"status": 200, "responseMs": 10}}
-- given: {"eventId": "e2", "userId": "u2", "action": "purchase", "page": "/checkout", "timestamp": 301000, "data": {"price": 20, "quantity": 2, "status": 200, "responseMs": 10}}
-- expect: SELECT online_users, orders_today FROM screen
-- = [1, 1]
-- expect: SELECT day, revenue FROM day
-- = ["1970-01-01", 40]
