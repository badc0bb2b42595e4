-- How far the migration is, as the log tells it.
-- projection: migration_status
-- topic: system-migration
-- type: $.type

CREATE TABLE status (
  at          INTEGER PRIMARY KEY,
  old_service TEXT NOT NULL,
  new_service TEXT NOT NULL,
  status      TEXT NOT NULL,
  reason      TEXT NOT NULL
) STRICT;

-- on: SystemMigration
INSERT INTO status (at, old_service, new_service, status, reason)
VALUES (:timestamp, :oldService, :newService, :status, :reason);
