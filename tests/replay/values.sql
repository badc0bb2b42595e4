-- projection: everything_bound
-- topic: things
-- type: $.kind

CREATE TABLE thing (
  part INTEGER, at INTEGER, key ANY, headers TEXT, plain ANY, nested ANY, item ANY, PRIMARY KEY (part, at)
) STRICT;

-- on: Thing
INSERT INTO thing VALUES (@partition, @offset, @key, @headers, :plain, $outer::inner::deep, $list::1);
