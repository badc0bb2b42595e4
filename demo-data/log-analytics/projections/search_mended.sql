-- The same, with payment's lines read in both of their forms: its new release says `msg` where the old one said `message`.
-- projection: log_search
-- topic: logs
-- topic: web-logs
-- type: $.service

CREATE TABLE line (
  -- One number for each line: the place of its record in `logs`, ending with the partition; in `web-logs`, ending with 9, what
  -- the agent's id says, which is file and offset. It is the same should the line be sent twice.
  id       INTEGER PRIMARY KEY,
  service  TEXT NOT NULL,
  level    TEXT NOT NULL,
  at       INTEGER NOT NULL,
  source   TEXT NOT NULL,
  message  TEXT NOT NULL
) STRICT;

-- Words are taken apart as in English: `declined` is found by `decline`. A line is the row of the same number above.
CREATE VIRTUAL TABLE entry USING fts5(message, service UNINDEXED, tokenize = 'porter unicode61');

-- Filebeat: the file that a line stood in is log.file.path.
-- on: shopping-cart
INSERT INTO line VALUES (@offset * 10 + @partition, :service, upper(:level), @timestamp, $log::file::path, :message);
INSERT INTO entry (rowid, message, service) VALUES (@offset * 10 + @partition, :message, :service);

-- Fluentd: a tag, and the container that wrote the line.
-- on: order
INSERT INTO line VALUES (@offset * 10 + @partition, :service, upper(:level), @timestamp, :container_name, :message);
INSERT INTO entry (rowid, message, service) VALUES (@offset * 10 + @partition, :message, :service);

-- Logstash: the logger of a Java program.
-- on: payment
INSERT INTO line VALUES (@offset * 10 + @partition, :service, upper(:level), @timestamp, :logger_name, coalesce(:message, :msg));
INSERT INTO entry (rowid, message, service) VALUES (@offset * 10 + @partition, coalesce(:message, :msg), :service);

-- The access log names no service: a record without a type. The agent's header is UUID-FILE-OFFSET.
-- on: *
INSERT INTO entry (rowid, message, service)
SELECT id, :message, 'web'
FROM (SELECT (CAST(substr(@headers ->> '$[0][1]', 38) AS INTEGER) * 1000000000 + $log::offset) * 10 + 9 AS id)
WHERE id NOT IN (SELECT rowid FROM entry WHERE rowid = id);
INSERT INTO line
SELECT (CAST(substr(@headers ->> '$[0][1]', 38) AS INTEGER) * 1000000000 + $log::offset) * 10 + 9, 'web',
       iif($http::response::status_code >= 500, 'ERROR', 'INFO'), @timestamp, $log::file::path, :message
WHERE true
ON CONFLICT (id) DO NOTHING;

-- test: a line that its agent sends twice is there once
-- given envelope: {"topic": "web-logs", "offset": 0, "timestamp": 9, "headers": {"foldlog-id": "00000000-0000-0000-0000-000000000000-2-119"}, "value": {"message": "GET /cart", "log": {"offset": 119, "file": {"path": "a.log"}}, "http": {"response": {"status_code": 200}}}}
-- given envelope: {"topic": "web-logs", "offset": 1, "timestamp": 9, "headers": {"foldlog-id": "00000000-0000-0000-0000-000000000000-2-119"}, "value": {"message": "GET /cart", "log": {"offset": 119, "file": {"path": "a.log.1"}}, "http": {"response": {"status_code": 200}}}}
-- expect: SELECT id, source FROM line
-- = [20000001199, "a.log"]
-- expect: SELECT rowid FROM entry
-- = [20000001199]

-- test: a line is found by a word of another form, and by its service
-- given: {"service": "payment", "level": "error", "logger_name": "shop.payment.Gateway", "message": "card declined for trace-7"}
-- given: {"service": "order", "level": "info", "container_name": "order-1", "message": "order placed for trace-7"}
-- expect: SELECT service FROM entry WHERE entry MATCH 'declining'
-- = ["payment"]
-- expect: SELECT service FROM entry WHERE entry MATCH '"trace 7"' ORDER BY service
-- = ["order"]
-- = ["payment"]

-- test: both forms are found
-- given: {"service": "payment", "level": "info", "logger_name": "x", "msg": "card charged"}
-- given: {"service": "payment", "level": "info", "logger_name": "x", "message": "card charged"}
-- expect: SELECT count(*) FROM entry WHERE entry MATCH 'charged'
-- = [2]
