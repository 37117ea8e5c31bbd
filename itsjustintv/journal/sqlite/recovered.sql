-- Whether Twitch was asked for an event, since no message told of it.
ALTER TABLE events ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0 CHECK (recovered IN (0, 1));

-- Each event has a third key now. What was announced before this step gets it as well, for as long as it is remembered.
INSERT INTO keys (key, expires_at)
SELECT 'stream:' || broadcaster_id || ':' || stream_id, max(expires_at)
FROM events JOIN keys ON key = 'message:' || message_id
GROUP BY broadcaster_id, stream_id;
