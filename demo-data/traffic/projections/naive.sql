-- Every record counts, and the last that came is where the vehicle is.
-- projection: naive_counts
-- topic: vehicle-positions
-- type: $.type

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
INSERT INTO total VALUES (:route, :vehicleType, 1)
ON CONFLICT (route, vehicle_type) DO UPDATE SET reports = reports + 1;

INSERT INTO vehicle VALUES (:vehicleId, :timestamp)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at;
