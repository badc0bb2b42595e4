-- Page views as a first attempt counts them: one for each record that arrives.
-- projection: counter
-- topic: user-actions
-- type: $.action

CREATE TABLE page (
  page  TEXT PRIMARY KEY,
  views INTEGER NOT NULL
) STRICT;

-- on: view
INSERT INTO page (page, views) VALUES (:page, 1) ON CONFLICT (page) DO UPDATE SET views = views + 1;
