-- How often each page was viewed.
-- projection: pages
-- topic: my-demo-views
-- type: $.type

CREATE TABLE page (
  name  TEXT PRIMARY KEY,
  views INTEGER NOT NULL
) STRICT;

-- on: PageViewed
INSERT INTO page (name, views) VALUES (:page, 1)
ON CONFLICT (name) DO UPDATE SET views = views + 1;
