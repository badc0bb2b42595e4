-- The same tables, with the event's id and its time asked.
-- projection: naive_counts
-- topic: vehicle-positions
-- type: $.type

CREATE TABLE report (event_id TEXT PRIMARY KEY) STRICT;

CREATE TABLE total (
  route        TEXT NOT NULL,
  vehicle_type TEXT NOT NULL,
  reports      INTEGER NOT NULL,
  PRIMARY KEY (route, vehicle_type)
) STRICT;

CREATE TABLE vehicle (
  id      TEXT PRIMARY KEY,
  seen_at INTEGER NOT NULL
) STRICT;

-- on: PositionReported
INSERT INTO total SELECT :route, :vehicleType, 1
WHERE NOT EXISTS (SELECT 1 FROM report WHERE event_id = :eventId)
ON CONFLICT (route, vehicle_type) DO UPDATE SET reports = reports + 1;

INSERT INTO vehicle VALUES (:vehicleId, :timestamp)
ON CONFLICT (id) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at);

INSERT INTO report VALUES (:eventId) ON CONFLICT DO NOTHING;
