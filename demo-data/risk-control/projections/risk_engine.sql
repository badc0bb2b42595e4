-- The risk engine: every event of a user is decided by what the user did before.
-- projection: risk_engine
-- topic: user-behaviour
-- type: $.type

CREATE TABLE user (
  user_id   TEXT PRIMARY KEY,
  logins    INTEGER NOT NULL,
  transfers INTEGER NOT NULL,
  largest   INTEGER NOT NULL,
  frozen    INTEGER NOT NULL
) STRICT;

/* Devices and networks that a user has been seen with. */
CREATE TABLE seen (
  user_id TEXT NOT NULL,
  kind    TEXT NOT NULL,
  name    TEXT NOT NULL,
  PRIMARY KEY (user_id, kind, name)
) STRICT;

/* `place` is the record that an event was decided by: one that comes again is another record, and finds it decided. */
CREATE TABLE decision (
  event_id TEXT PRIMARY KEY,
  place    TEXT NOT NULL,
  user_id  TEXT NOT NULL,
  action   TEXT NOT NULL,
  reason   TEXT NOT NULL
) STRICT;

-- on: LoggedIn
INSERT INTO decision (event_id, place, user_id, action, reason)
SELECT :eventId, @partition || ':' || @offset, :userId,
  CASE WHEN odd_login THEN 'second-factor' WHEN new_device THEN 'sms' ELSE 'allow' END,
  CASE WHEN odd_login THEN 'a login at ' || :hour || ' o''clock from ' || :network || ', never seen before'
       WHEN new_device THEN 'the device ' || :device || ' is new' ELSE '' END
FROM (
  SELECT coalesce(logins, 0) >= 1 AND :hour < 6
           AND NOT EXISTS (SELECT 1 FROM seen WHERE user_id = :userId AND kind = 'network' AND name = :network) AS odd_login,
         coalesce(logins, 0) >= 1
           AND NOT EXISTS (SELECT 1 FROM seen WHERE user_id = :userId AND kind = 'device' AND name = :device) AS new_device
  FROM (SELECT 1) LEFT JOIN user ON user_id = :userId)
WHERE true
ON CONFLICT (event_id) DO NOTHING;

INSERT INTO user (user_id, logins, transfers, largest, frozen)
SELECT :userId, 1, 0, 0, 0 FROM decision WHERE event_id = :eventId AND place = @partition || ':' || @offset
ON CONFLICT (user_id) DO UPDATE SET logins = logins + 1;

INSERT INTO seen (user_id, kind, name) VALUES (:userId, 'network', :network), (:userId, 'device', :device)
ON CONFLICT DO NOTHING;

-- on: Transferred
INSERT INTO decision (event_id, place, user_id, action, reason)
SELECT :eventId, @partition || ':' || @offset, :userId,
  CASE WHEN frozen THEN 'decline' WHEN odd THEN 'freeze' ELSE 'allow' END,
  CASE WHEN frozen THEN 'the account is frozen'
       WHEN odd THEN 'a transfer of ' || :amount || ', the largest before was ' || largest ELSE '' END
FROM (
  SELECT coalesce(frozen, 0) AS frozen, coalesce(largest, 0) AS largest,
         coalesce(transfers, 0) >= 3 AND :amount > 5 * largest AS odd
  FROM (SELECT 1) LEFT JOIN user ON user_id = :userId)
WHERE true
ON CONFLICT (event_id) DO NOTHING;

/* What was declined or frozen did not happen, and is no habit. */
INSERT INTO user (user_id, logins, transfers, largest, frozen)
SELECT :userId, 0, action = 'allow', iif(action = 'allow', :amount, 0), action = 'freeze'
FROM decision WHERE event_id = :eventId AND place = @partition || ':' || @offset
ON CONFLICT (user_id) DO UPDATE SET transfers = transfers + excluded.transfers, largest = max(largest, excluded.largest),
  frozen = max(frozen, excluded.frozen);

-- on: Unfrozen
UPDATE user SET frozen = 0 WHERE user_id = :userId;

-- emit: risk-actions on LoggedIn, Transferred
SELECT user_id AS key,
       json_object('type', 'RiskAction', 'eventId', event_id, 'userId', user_id, 'action', action, 'reason', reason,
                   'behaviourAt', @timestamp, 'timestamp', :timestamp) AS value
FROM decision WHERE event_id = :eventId AND place = @partition || ':' || @offset AND action <> 'allow';

-- test: a login at night from somewhere else, and a device that is new by day
-- given: {"type":"LoggedIn","eventId":"e1","userId":"u","device":"phone","network":"home","hour":20}
-- given: {"type":"LoggedIn","eventId":"e2","userId":"u","device":"phone","network":"hotel","hour":3}
-- given: {"type":"LoggedIn","eventId":"e3","userId":"u","device":"tablet","network":"hotel","hour":9}
-- given: {"type":"LoggedIn","eventId":"e4","userId":"u","device":"tablet","network":"hotel","hour":3}
-- expect: SELECT event_id, action, reason FROM decision WHERE action <> 'allow'
-- = ["e2", "second-factor", "a login at 3 o'clock from hotel, never seen before"]
-- = ["e3", "sms", "the device tablet is new"]

-- test: an odd amount freezes the account until somebody opens it
-- given: {"type":"Transferred","eventId":"e1","userId":"u","device":"phone","amount":10}
-- given: {"type":"Transferred","eventId":"e2","userId":"u","device":"phone","amount":20}
-- given: {"type":"Transferred","eventId":"e3","userId":"u","device":"phone","amount":30}
-- given: {"type":"Transferred","eventId":"e4","userId":"u","device":"phone","amount":151}
-- given: {"type":"Transferred","eventId":"e4","userId":"u","device":"phone","amount":151}
-- given: {"type":"Transferred","eventId":"e5","userId":"u","device":"phone","amount":10}
-- given: {"type":"Unfrozen","eventId":"e6","userId":"u"}
-- given: {"type":"Transferred","eventId":"e7","userId":"u","device":"phone","amount":40}
-- expect: SELECT event_id, action FROM decision
-- = ["e1", "allow"]
-- = ["e2", "allow"]
-- = ["e3", "allow"]
-- = ["e4", "freeze"]
-- = ["e5", "decline"]
-- = ["e7", "allow"]
-- expect: SELECT transfers, largest, frozen FROM user
-- = [4, 40, 0]
