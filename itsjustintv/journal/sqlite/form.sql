-- What the body was made for: the place of its destination, or the type where there are no posts. Empty: not known.
ALTER TABLE deliveries ADD COLUMN form TEXT NOT NULL DEFAULT '';
