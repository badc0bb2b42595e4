-- How long it took from a command's arrival to its event, and to the read model. All three times are the broker's: the topics
-- are stamped when records arrive.
-- projection: consistency
-- topic: order-view-changes
-- type: $.type

CREATE TABLE moment (
  order_id   TEXT NOT NULL,
  version    INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL,
  event_ms   INTEGER NOT NULL,
  visible_ms INTEGER NOT NULL,
  PRIMARY KEY (order_id, version)
) STRICT;

-- on: ViewChanged
INSERT INTO moment (order_id, version, seen_at, event_ms, visible_ms)
VALUES (:orderId, :version, @timestamp, :publishedAt - :commandAt, @timestamp - :commandAt);
