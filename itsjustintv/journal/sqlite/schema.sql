-- Times are seconds since the epoch, UTC.

PRAGMA application_id = 0x696a6974; -- "ijit"

CREATE TABLE events (
    id TEXT NOT NULL PRIMARY KEY,
    message_id TEXT NOT NULL,
    stream_id TEXT NOT NULL,
    broadcaster_id TEXT NOT NULL,
    broadcaster_login TEXT NOT NULL,
    broadcaster_name TEXT NOT NULL,
    type TEXT NOT NULL,
    started_at TEXT NOT NULL,
    received_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX events_by_time ON events (received_at);

-- What makes another message the same news.
CREATE TABLE keys (
    key TEXT NOT NULL PRIMARY KEY,
    expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX keys_by_expiry ON keys (expires_at);

-- How many deliveries there are in each state: "held" in the table below, kept by its triggers, so that it cannot be
-- anything but the truth; "removed" by retention, which adds up what it takes away.
CREATE TABLE states (
    state TEXT NOT NULL PRIMARY KEY,
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    removed INTEGER NOT NULL DEFAULT 0 CHECK (removed >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO states (state)
VALUES ('accepted'), ('pending'), ('delivered'), ('dead'), ('expired'), ('filtered'), ('cancelled');

-- "wanted" is counted where a delivery is asked for, and by nobody else: it is what the states are compared with.
-- "signals" is how often an operator's command has written; "imported", whether the original's files were taken over.
CREATE TABLE numbers (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO numbers (name, value)
VALUES ('wanted', 0), ('signals', 0), ('imported', 0), ('probes', 0);

CREATE TABLE deliveries (
    id TEXT NOT NULL PRIMARY KEY,
    event_id TEXT NOT NULL REFERENCES events (id),
    streamer TEXT NOT NULL,
    destination TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    next_attempt_at REAL NOT NULL,
    state TEXT NOT NULL REFERENCES states (state),
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    reason TEXT NOT NULL DEFAULT '',
    body BLOB NOT NULL DEFAULT x'',
    finished_at REAL,
    last_attempt INTEGER, -- attempts.sequence
    CHECK ((state IN ('accepted', 'pending')) = (finished_at IS NULL)),
    CHECK (state <> 'accepted' OR length(body) = 0),
    CHECK (state <> 'pending' OR length(body) > 0)
) STRICT;

-- Beside their deliveries, because SQLite rewrites a whole row when one column of it changes.
CREATE TABLE pictures (
    delivery_id TEXT NOT NULL PRIMARY KEY REFERENCES deliveries (id) ON DELETE CASCADE,
    data BLOB NOT NULL
) STRICT;

-- The number starts again when an operator asks for another round; the sequence tells the rounds apart.
CREATE TABLE attempts (
    sequence INTEGER NOT NULL PRIMARY KEY,
    delivery_id TEXT NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at REAL NOT NULL,
    ok INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    started_at REAL NOT NULL,
    duration REAL NOT NULL,
    status INTEGER,
    response TEXT NOT NULL,
    retry_after REAL,
    final INTEGER NOT NULL
) STRICT;

-- Small numbers worth remembering across a restart.
CREATE TABLE known (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    value INTEGER NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (kind, key)
) STRICT, WITHOUT ROWID;

-- The state is in the second one so that places in line are read from it alone, without touching a single body.
CREATE INDEX deliveries_unprepared ON deliveries (next_attempt_at, id) WHERE state = 'accepted';
CREATE INDEX deliveries_due ON deliveries (destination, next_attempt_at, id, state) WHERE state = 'pending';
CREATE INDEX deliveries_finished ON deliveries (state, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX deliveries_attempted ON deliveries (last_attempt) WHERE last_attempt IS NOT NULL;
CREATE INDEX deliveries_of_event ON deliveries (event_id);
CREATE INDEX attempts_of_delivery ON attempts (delivery_id, sequence);

CREATE TRIGGER deliveries_added AFTER INSERT ON deliveries
BEGIN
    UPDATE states SET held = held + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER deliveries_moved AFTER UPDATE OF state ON deliveries WHEN NEW.state <> OLD.state
BEGIN
    UPDATE states SET held = held - 1 WHERE state = OLD.state;
    UPDATE states SET held = held + 1 WHERE state = NEW.state;
END;

CREATE TRIGGER deliveries_removed AFTER DELETE ON deliveries
BEGIN
    UPDATE states SET held = held - 1 WHERE state = OLD.state;
END;

-- A picture is only kept for as long as it may still be sent; the dead can be replayed.
CREATE TRIGGER pictures_no_longer_needed AFTER UPDATE OF state ON deliveries
WHEN NEW.state IN ('delivered', 'expired', 'filtered', 'cancelled')
BEGIN
    DELETE FROM pictures WHERE delivery_id = NEW.id;
END;
