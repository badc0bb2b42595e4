-- Packs what the service that is in charge says. Until the cut-over that is the old one.
-- projection: warehouse
-- topic: ORDER
-- topic: ORDERNEW
-- topic: system-migration
-- type: $.type

CREATE TABLE cut_over (
  at INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE parcel (
  order_id TEXT PRIMARY KEY,
  said_by  TEXT NOT NULL,
  updates  INTEGER NOT NULL
) STRICT;

-- on: SystemMigration
INSERT INTO cut_over (at) SELECT :timestamp WHERE :status = 'migrated' ON CONFLICT DO NOTHING;

-- on: OrderResult
INSERT INTO parcel (order_id, said_by, updates)
SELECT :orderId, iif(@topic LIKE '%ORDERNEW', 'v2', 'v1'), 1
WHERE (@topic LIKE '%ORDERNEW') = (SELECT count(*) FROM cut_over)
ON CONFLICT (order_id) DO UPDATE SET said_by = excluded.said_by, updates = updates + 1;
