-- projection: p
-- topic: t
-- type: $.type

CREATE TABLE account (id TEXT PRIMARY KEY) STRICT;
CREATE TABLE entry (id TEXT PRIMARY KEY, account TEXT REFERENCES account DEFERRABLE INITIALLY DEFERRED) STRICT;

-- on: X
INSERT INTO account VALUES (:id);
