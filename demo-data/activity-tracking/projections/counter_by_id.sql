-- Page views, each event once: what has been counted is known by its id.
-- projection: counter
-- topic: user-actions
-- type: $.action

CREATE TABLE page (
  page  TEXT PRIMARY KEY,
  views INTEGER NOT NULL
) STRICT;

CREATE TABLE seen (
  event_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- on: view
INSERT INTO page (page, views)
SELECT :page, 1 WHERE NOT EXISTS (SELECT 1 FROM seen WHERE event_id = :eventId)
ON CONFLICT (page) DO UPDATE SET views = views + 1;

INSERT INTO seen (event_id) VALUES (:eventId) ON CONFLICT (event_id) DO NOTHING;

-- test: a copy is not counted
-- given: {"eventId": "e1", "action": "view", "page": "/"}
-- given: {"eventId": "e1", "action": "view", "page": "/"}
-- expect: SELECT page, views FROM page
-- = ["/", 1]
