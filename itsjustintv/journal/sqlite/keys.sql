-- Keys are only added at the end, and looked up in memory: see keys.py.
CREATE TABLE appended (
    key TEXT NOT NULL,
    expires_at REAL NOT NULL
) STRICT;

INSERT INTO appended (key, expires_at) SELECT key, expires_at FROM keys ORDER BY expires_at;
DROP TABLE keys;
ALTER TABLE appended RENAME TO keys;
