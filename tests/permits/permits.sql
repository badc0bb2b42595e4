-- projection: permits
-- topic: permit-events
-- type: $.type
--
-- The receipt phase of building-permit applications: where each application stands, and who did how much.

CREATE TABLE application (
  id          TEXT    NOT NULL PRIMARY KEY,
  channel     TEXT    NOT NULL,
  department  TEXT    NOT NULL,
  responsible TEXT    NOT NULL,
  state       TEXT    NOT NULL,
  events      INTEGER NOT NULL,
  received_at INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  last_task   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE workload (
  resource TEXT    NOT NULL PRIMARY KEY,
  tasks    INTEGER NOT NULL,
  last_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX application_by_state ON application (state, updated_at);

-- on: Confirmation of receipt
INSERT INTO application VALUES (
  :caseId, :channel, :department, :responsible, 'received', 1, @timestamp, @timestamp, :type
);
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: T02 Check confirmation of receipt
UPDATE application SET state = 'checked', events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: T05 Print and send confirmation of receipt
UPDATE application SET state = 'confirmed', events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: T10 Determine necessity to stop indication
UPDATE application SET state = 'assessed', events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: T15 Print document X request unlicensed
UPDATE application SET state = 'unlicensed', events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: T20 Print report Y to stop indication
UPDATE application SET state = 'stopped', events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);

-- on: *
UPDATE application SET events = events + 1, updated_at = @timestamp, last_task = :type WHERE id = :caseId;
INSERT INTO workload VALUES (:resource, 1, @timestamp)
ON CONFLICT (resource) DO UPDATE SET tasks = tasks + 1, last_at = max(last_at, excluded.last_at);
