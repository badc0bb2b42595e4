CREATE TABLE product (
  id          INTEGER PRIMARY KEY,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  price       INTEGER NOT NULL,
  stock       INTEGER NOT NULL
) STRICT;

CREATE TABLE customer (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  city TEXT NOT NULL
) STRICT;

INSERT INTO product VALUES
  (1, 'Keyboard', 'quiet mechanical keyboard with a cable', 90, 40),
  (2, 'Keyboard mini', 'small wireless keyboard for the bag', 60, 25),
  (3, 'Mouse', 'wireless mouse for both hands', 35, 80),
  (4, 'Trackball', 'quiet trackball with a cable', 55, 15),
  (5, 'Monitor 24', 'monitor of 24 inches, matte', 180, 12),
  (6, 'Monitor 32', 'monitor of 32 inches, curved', 420, 5),
  (7, 'Headset', 'wireless headset with a quiet room', 120, 30),
  (8, 'Microphone', 'microphone for the desk', 75, 18),
  (9, 'Desk lamp', 'warm lamp for the desk', 40, 60),
  (10, 'Cable', 'cable of two metres', 8, 300),
  (11, 'Webcam', 'webcam with a cover', 65, 22),
  (12, 'Dock', 'dock with six sockets', 150, 9);

INSERT INTO customer VALUES
  (1, 'Ada', 'London'),
  (2, 'Bo', 'Malmö'),
  (3, 'Chen', '成都'),
  (4, 'Dilek', 'İzmir'),
  (5, 'Emre', 'İzmir'),
  (6, 'Fang', '成都'),
  (7, 'Gita', 'Pune'),
  (8, 'Hugo', 'Lyon');
