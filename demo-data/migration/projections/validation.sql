-- Before anything is moved: would the new service take what is in the input? The last record of an order counts, so that a
-- correction settles what was found.
-- projection: validation
-- topic: order-input
-- topic: migration-requests
-- type: $.type

CREATE TABLE input (
  order_id TEXT PRIMARY KEY,
  old_form INTEGER NOT NULL
) STRICT;

CREATE TABLE finding (
  order_id TEXT NOT NULL,
  rule     TEXT NOT NULL,
  PRIMARY KEY (order_id, rule)
) STRICT;

CREATE TABLE report (
  asked_at INTEGER PRIMARY KEY,
  orders   INTEGER NOT NULL,
  old_form INTEGER NOT NULL,
  findings INTEGER NOT NULL
) STRICT;

-- on: OrderSubmitted
INSERT INTO input (order_id, old_form) VALUES (:orderId, :v IS NULL)
ON CONFLICT (order_id) DO UPDATE SET old_form = excluded.old_form;

DELETE FROM finding WHERE order_id = :orderId;

INSERT INTO finding (order_id, rule)
SELECT :orderId, rule FROM (
  SELECT 'it has no customer' AS rule, :customerId IS NULL AS broken
  UNION ALL SELECT 'its discount is no percentage', :discountPercent NOT BETWEEN 0 AND 100
  UNION ALL SELECT 'nothing was ordered', json_array_length(:lines) = 0)
WHERE broken;

-- on: ValidationRequested
INSERT INTO report (asked_at, orders, old_form, findings)
SELECT :timestamp, count(*), sum(old_form), (SELECT count(*) FROM finding) FROM input;

-- emit: system-migration on ValidationRequested
SELECT :newService AS key,
       json_object('type', 'SystemMigration', 'oldService', :oldService, 'newService', :newService,
                   'status', iif(findings = 0, 'validated', 'not ready'),
                   'reason', orders || ' orders, ' || old_form || ' in the old form, ' || findings || ' that v2 refuses',
                   'timestamp', :timestamp) AS value
FROM report WHERE asked_at = :timestamp;
