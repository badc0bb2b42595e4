-- Holds ORDER and ORDERNEW against each other, record by record: of each order the last that either service said.
-- projection: reconciliation
-- topic: ORDER
-- topic: ORDERNEW
-- topic: migration-requests
-- type: $.type

CREATE TABLE pair (
  order_id TEXT PRIMARY KEY,
  old      TEXT,
  new      TEXT
) STRICT;

CREATE TABLE difference (
  order_id TEXT NOT NULL,
  field    TEXT NOT NULL,
  old      ANY,
  new      ANY,
  PRIMARY KEY (order_id, field)
) STRICT;

CREATE TABLE verdict (
  asked_at  INTEGER PRIMARY KEY,
  equal     INTEGER NOT NULL,
  different INTEGER NOT NULL,
  missing   INTEGER NOT NULL,
  extra     INTEGER NOT NULL
) STRICT;

-- on: OrderResult
INSERT INTO pair (order_id, old, new)
VALUES (:orderId, iif(@topic LIKE '%ORDERNEW', NULL, @value), iif(@topic LIKE '%ORDERNEW', @value, NULL))
ON CONFLICT (order_id) DO UPDATE SET old = coalesce(excluded.old, old), new = coalesce(excluded.new, new);

DELETE FROM difference WHERE order_id = :orderId;

INSERT INTO difference (order_id, field, old, new)
SELECT DISTINCT order_id, field.key, old ->> ('$.' || field.key), new ->> ('$.' || field.key)
FROM pair, json_each(json_array(json(old), json(new))) AS side, json_each(side.value) AS field
WHERE order_id = :orderId AND old IS NOT NULL AND new IS NOT NULL
  AND old ->> ('$.' || field.key) IS NOT new ->> ('$.' || field.key);

/* Taken back: the service never meant to say it. */
-- on: tombstone
UPDATE pair SET old = iif(@topic LIKE '%ORDERNEW', old, NULL), new = iif(@topic LIKE '%ORDERNEW', NULL, new)
WHERE order_id = @key;

DELETE FROM pair WHERE order_id = @key AND old IS NULL AND new IS NULL;

DELETE FROM difference WHERE order_id = @key;

-- on: CutOverRequested
INSERT INTO verdict (asked_at, equal, different, missing, extra)
SELECT :timestamp, coalesce(sum(old IS NOT NULL AND new IS NOT NULL AND d.order_id IS NULL), 0),
       coalesce(sum(d.order_id IS NOT NULL), 0), coalesce(sum(new IS NULL), 0), coalesce(sum(old IS NULL), 0)
FROM pair AS p LEFT JOIN (SELECT DISTINCT order_id FROM difference) AS d USING (order_id);

-- emit: system-migration on CutOverRequested
SELECT :newService AS key,
       json_object('type', 'SystemMigration', 'oldService', :oldService, 'newService', :newService,
                   'status', iif(different + missing + extra = 0, 'migrated', 'refused'),
                   'reason', equal || ' equal, ' || different || ' different, ' || missing || ' missing, ' || extra || ' extra',
                   'timestamp', :timestamp) AS value
FROM verdict WHERE asked_at = :timestamp;

-- test: equal, different in one field, missing, extra
-- given envelope: {"topic":"ORDER","key":"o1","value":{"type":"OrderResult","orderId":"o1","totalCents":905,"status":"paid"}}
-- given envelope: {"topic":"ORDERNEW","key":"o1","value":{"type":"OrderResult","orderId":"o1","totalCents":904,"status":"paid"}}
-- given envelope: {"topic":"ORDER","key":"o2","value":{"type":"OrderResult","orderId":"o2","totalCents":100,"status":"open"}}
-- given envelope: {"topic":"ORDERNEW","key":"o2","value":{"type":"OrderResult","orderId":"o2","totalCents":100,"status":"open"}}
-- given envelope: {"topic":"ORDER","key":"o3","value":{"type":"OrderResult","orderId":"o3","totalCents":1,"status":"open"}}
-- given envelope: {"topic":"ORDERNEW","key":"o4","value":{"type":"OrderResult","orderId":"o4","totalCents":1,"status":"open"}}
-- given envelope: {"topic":"migration-requests","value":{"type":"CutOverRequested","oldService":"v1","newService":"v2","timestamp":1}}
-- expect: SELECT order_id, field, old, new FROM difference
-- = ["o1", "totalCents", 905, 904]
-- expect: SELECT equal, different, missing, extra FROM verdict
-- = [1, 1, 1, 1]
-- given envelope: {"topic":"ORDERNEW","key":"o1","value":{"type":"OrderResult","orderId":"o1","totalCents":905,"status":"paid"}}
-- given envelope: {"topic":"ORDERNEW","key":"o3","value":{"type":"OrderResult","orderId":"o3","totalCents":1,"status":"open"}}
-- given envelope: {"topic":"ORDERNEW","key":"o4","value":null}
-- given envelope: {"topic":"migration-requests","value":{"type":"CutOverRequested","oldService":"v1","newService":"v2","timestamp":2}}
-- expect: SELECT equal, different, missing, extra FROM verdict WHERE asked_at = 2
-- = [3, 0, 0, 0]
-- expect: SELECT * FROM difference
-- = no rows
