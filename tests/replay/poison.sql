-- projection: poisoned
-- topic: events
-- type: $.type

CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE child (
  id INTEGER PRIMARY KEY,
  parent INTEGER NOT NULL REFERENCES parent ON DELETE CASCADE,
  name TEXT UNIQUE,
  age INTEGER CHECK (age >= 0),
  twice INTEGER GENERATED ALWAYS AS (age * 2) STORED
) STRICT;

-- on: Parent
INSERT INTO parent VALUES (:id);

-- on: Family
INSERT INTO parent VALUES (:id);
INSERT INTO child (id, parent, name, age) VALUES (:child, :id, :name, :age);

-- on: Gone
DELETE FROM parent WHERE id = :id;

-- on: Parsed
INSERT INTO parent SELECT value FROM json_each(:list);

-- on: Dated
INSERT INTO parent VALUES (unixepoch(:at));
