-- Events of other types than stream.online. Their title and category are their own.
ALTER TABLE events ADD COLUMN event_type TEXT NOT NULL DEFAULT 'stream.online';
ALTER TABLE events ADD COLUMN occurred_at REAL NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN category_id TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN language TEXT NOT NULL DEFAULT '';

-- What a viewer calls one broadcast, over short drops. Times but "at" are Twitch's.
CREATE TABLE broadcasts (
    id TEXT NOT NULL PRIMARY KEY, -- of the event that opened it
    broadcaster_id TEXT NOT NULL,
    streamer TEXT NOT NULL,
    type TEXT NOT NULL DEFAULT '', -- of its first stream
    started_at TEXT NOT NULL,
    seen_at REAL NOT NULL, -- the latest time at which it was certainly live
    offline_at REAL, -- 0: it has ended, and nothing says when
    stream_ids TEXT NOT NULL, -- a JSON list
    title TEXT NOT NULL DEFAULT '',
    category TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL -- of its last event
) STRICT, WITHOUT ROWID;

CREATE INDEX broadcasts_of_channel ON broadcasts (broadcaster_id, id);
CREATE INDEX broadcasts_live ON broadcasts (broadcaster_id) WHERE offline_at IS NULL;
CREATE INDEX broadcasts_by_time ON broadcasts (at);

-- What stands at a destination for a broadcast. The place is a hash of its address: an id means nothing at another.
CREATE TABLE posts (
    broadcast TEXT NOT NULL REFERENCES broadcasts (id) ON DELETE CASCADE,
    destination TEXT NOT NULL,
    place TEXT NOT NULL,
    remote TEXT NOT NULL,
    shown TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed', 'gone', 'lost')),
    at REAL NOT NULL,
    PRIMARY KEY (broadcast, destination)
) STRICT, WITHOUT ROWID;

-- Places that must not be used any more, or that have moved: hashes of an address with its secrets, since the operator may
-- replace these.
CREATE TABLE places (
    place TEXT NOT NULL PRIMARY KEY,
    verdict TEXT NOT NULL,
    moved_to TEXT NOT NULL DEFAULT '',
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE deliveries ADD COLUMN broadcast TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN action TEXT NOT NULL DEFAULT 'create';
ALTER TABLE deliveries ADD COLUMN shown TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN plain INTEGER NOT NULL DEFAULT 0 CHECK (plain IN (0, 1));
ALTER TABLE deliveries ADD COLUMN mention INTEGER NOT NULL DEFAULT 0 CHECK (mention IN (0, 1));
-- Whether an operator asked for it, whatever has become of its post.
ALTER TABLE deliveries ADD COLUMN requested INTEGER NOT NULL DEFAULT 0 CHECK (requested IN (0, 1));

CREATE INDEX deliveries_of_broadcast ON deliveries (broadcast, destination) WHERE broadcast <> '';

INSERT INTO states (state) VALUES ('superseded');

DROP TRIGGER pictures_no_longer_needed;
CREATE TRIGGER pictures_no_longer_needed AFTER UPDATE OF state ON deliveries
WHEN NEW.state IN ('delivered', 'expired', 'filtered', 'cancelled', 'superseded')
BEGIN
    DELETE FROM pictures WHERE delivery_id = NEW.id;
END;
