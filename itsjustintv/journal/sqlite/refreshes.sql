-- How many seconds after its acceptance the post of a delivery is refreshed, once it was delivered: a JSON list, empty for
-- never. A refresh is a further delivery of the same event, with the action "refresh".
ALTER TABLE deliveries ADD COLUMN refreshes TEXT NOT NULL DEFAULT '';
