-- The traffic bulletin: a window is published once, two minutes after its end, and is never corrected.
-- projection: traffic_bulletin
-- topic: vehicle-positions
-- type: $.type

CREATE TABLE report (event_id TEXT PRIMARY KEY) STRICT;

-- How far each route has come: the latest time that it reported. All reports of a route are in one partition, so in one order.
CREATE TABLE watermark (
  route TEXT PRIMARY KEY,
  at    INTEGER NOT NULL
) STRICT;

CREATE TABLE window (
  route     TEXT NOT NULL,
  began     INTEGER NOT NULL,
  reports   INTEGER NOT NULL,
  speed_sum INTEGER NOT NULL,
  -- Those that came when it was published already.
  too_late  INTEGER NOT NULL,
  -- The event that closed it.
  closed_by TEXT,
  PRIMARY KEY (route, began)
) STRICT;

-- on: PositionReported
INSERT INTO window SELECT :route, :timestamp - :timestamp % 300000, 1, :speed, 0, NULL
WHERE NOT EXISTS (SELECT 1 FROM report WHERE event_id = :eventId)
ON CONFLICT (route, began) DO UPDATE SET
  reports   = reports + (closed_by IS NULL),
  speed_sum = speed_sum + CASE WHEN closed_by IS NULL THEN excluded.speed_sum ELSE 0 END,
  too_late  = too_late + (closed_by IS NOT NULL);

INSERT INTO report VALUES (:eventId) ON CONFLICT DO NOTHING;

INSERT INTO watermark VALUES (:route, :timestamp)
ON CONFLICT (route) DO UPDATE SET at = max(at, excluded.at);

UPDATE window SET closed_by = @partition || ':' || @offset
WHERE route = :route AND closed_by IS NULL
  AND began + 300000 + 120000 <= (SELECT at FROM watermark WHERE route = :route);

-- emit: traffic-bulletin on PositionReported
SELECT route AS key,
       json_object('type', 'WindowClosed', 'route', route, 'began', began, 'reports', reports,
                   'averageSpeed', round(1.0 * speed_sum / reports, 1), 'congested', json(iif(speed_sum < 15 * reports, 'true', 'false'))) AS value
FROM window WHERE closed_by = @partition || ':' || @offset;
