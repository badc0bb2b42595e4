-- How long whoever places an order waits, by two designs. `calls_ms` is one call after the other until one fails; `own_ms` is what
-- the order service does itself, and all that is waited for where it publishes and returns. Both are data: they are simulated.
-- projection: response_times
-- topic: order-calls
-- type: $.type

CREATE TABLE answer (
  order_id TEXT PRIMARY KEY,
  own_ms   INTEGER NOT NULL,
  calls_ms INTEGER NOT NULL,
  failed   TEXT
) STRICT;

-- on: OrderCalls
INSERT INTO answer (order_id, own_ms, calls_ms, failed)
SELECT :orderId, :ownMs, sum(value ->> 'ms'), min(iif(value ->> 'ok', NULL, value ->> 'service'))
FROM json_each(:calls)
WHERE key <= coalesce((SELECT min(key) FROM json_each(:calls) WHERE NOT (value ->> 'ok')), 99);

-- test: after the first that fails nobody is called any more
-- given: {"type":"OrderCalls","orderId":"o1","ownMs":200,"calls":[{"service":"a","ms":100,"ok":true},{"service":"b","ms":300,"ok":true}]}
-- given: {"type":"OrderCalls","orderId":"o2","ownMs":200,"calls":[{"service":"a","ms":100,"ok":true},{"service":"b","ms":5000,"ok":false},{"service":"c","ms":1,"ok":true}]}
-- expect: SELECT * FROM answer
-- = ["o1", 200, 400, null]
-- = ["o2", 200, 5100, "b"]
