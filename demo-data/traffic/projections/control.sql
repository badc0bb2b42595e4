-- The control room: reports counted once each, in the window of the time when the vehicle was there.
-- projection: control_room
-- topic: vehicle-positions
-- type: $.type

-- Which reports were counted, and how often each came.
CREATE TABLE report (
  event_id TEXT PRIMARY KEY,
  times    INTEGER NOT NULL
) STRICT;

CREATE TABLE total (
  route        TEXT NOT NULL,
  vehicle_type TEXT NOT NULL,
  reports      INTEGER NOT NULL,
  PRIMARY KEY (route, vehicle_type)
) STRICT;

-- Five minutes each.
CREATE TABLE window (
  route        TEXT NOT NULL,
  began        INTEGER NOT NULL,
  vehicle_type TEXT NOT NULL,
  reports      INTEGER NOT NULL,
  speed_sum    INTEGER NOT NULL,
  PRIMARY KEY (route, began, vehicle_type)
) STRICT;

CREATE TABLE vehicle (
  id           TEXT PRIMARY KEY,
  route        TEXT NOT NULL,
  vehicle_type TEXT NOT NULL,
  speed        INTEGER NOT NULL,
  latitude     REAL NOT NULL,
  longitude    REAL NOT NULL,
  seen_at      INTEGER NOT NULL
) STRICT;

-- on: PositionReported
-- A report that was counted already adds nothing: its id says so.
INSERT INTO total SELECT :route, :vehicleType, 1
WHERE NOT EXISTS (SELECT 1 FROM report WHERE event_id = :eventId)
ON CONFLICT (route, vehicle_type) DO UPDATE SET reports = reports + 1;

INSERT INTO window SELECT :route, :timestamp - :timestamp % 300000, :vehicleType, 1, :speed
WHERE NOT EXISTS (SELECT 1 FROM report WHERE event_id = :eventId)
ON CONFLICT (route, began, vehicle_type) DO UPDATE SET reports = reports + 1, speed_sum = speed_sum + excluded.speed_sum;

-- A late report says where the vehicle was, not where it is.
INSERT INTO vehicle VALUES (:vehicleId, :route, :vehicleType, :speed, :latitude, :longitude, :timestamp)
ON CONFLICT (id) DO UPDATE SET route = excluded.route, speed = excluded.speed, latitude = excluded.latitude,
  longitude = excluded.longitude, seen_at = excluded.seen_at
WHERE excluded.seen_at >= seen_at;

INSERT INTO report VALUES (:eventId, 1)
ON CONFLICT (event_id) DO UPDATE SET times = times + 1;

-- test: a report that comes twice is counted once
-- given: {"type": "PositionReported", "eventId": "e1", "vehicleId": "bus-1", "route": "r", "vehicleType": "bus", "speed": 30, "latitude": 1, "longitude": 2, "timestamp": 600000}
-- given: {"type": "PositionReported", "eventId": "e1", "vehicleId": "bus-1", "route": "r", "vehicleType": "bus", "speed": 30, "latitude": 1, "longitude": 2, "timestamp": 600000}
-- expect: SELECT t.reports, w.reports, w.speed_sum, times FROM total AS t, window AS w, report
-- = [1, 1, 30, 2]

-- test: a late report is counted in its own window and does not move the vehicle back
-- given: {"type": "PositionReported", "eventId": "e2", "vehicleId": "bus-1", "route": "r", "vehicleType": "bus", "speed": 30, "latitude": 1, "longitude": 2, "timestamp": 600000}
-- given: {"type": "PositionReported", "eventId": "e1", "vehicleId": "bus-1", "route": "r", "vehicleType": "bus", "speed": 50, "latitude": 3, "longitude": 4, "timestamp": 299999}
-- expect: SELECT began, reports, speed_sum FROM window ORDER BY began
-- = [0, 1, 50]
-- = [600000, 1, 30]
-- expect: SELECT speed, seen_at FROM vehicle
-- = [30, 600000]
