-- Title and category of the broadcast, as Twitch had them when a delivery of the event was prepared first; else empty.
ALTER TABLE events ADD COLUMN title TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN category TEXT NOT NULL DEFAULT '';

-- Until this step they were only in the payloads.
UPDATE events
SET title = first.title, category = first.category
FROM (
    SELECT
        event_id,
        min(number),
        CASE json_type(payload, '$.stream.title') WHEN 'text' THEN json_extract(payload, '$.stream.title') ELSE '' END
            AS title,
        CASE json_type(payload, '$.stream.game_name') WHEN 'text' THEN json_extract(payload, '$.stream.game_name')
            ELSE '' END AS category
    FROM (
        SELECT
            event_id,
            rowid AS number,
            CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ELSE '{}' END AS payload
        FROM deliveries
    )
    WHERE json_type(payload, '$.stream') = 'object'
    GROUP BY event_id
) AS first
WHERE first.event_id = events.id;
