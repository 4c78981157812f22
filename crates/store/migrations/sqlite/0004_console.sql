-- Who is signed in to the console: by a service key, or as a user of the identity provider.
CREATE TABLE console_sessions (
    id         BLOB    NOT NULL PRIMARY KEY,
    -- SHA-256 of what the browser keeps.
    hash       BLOB    NOT NULL UNIQUE,
    -- Of a service key, which is never deleted.
    key_id     BLOB,
    user_id    TEXT    REFERENCES users (id) ON DELETE CASCADE,
    operator   INTEGER NOT NULL CHECK (operator IN (0, 1)),
    began_at   INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    -- Whatever is seen of it, it ends then.
    ends_at    INTEGER NOT NULL,
    ip         TEXT,
    user_agent TEXT,
    CHECK ((key_id IS NULL) <> (user_id IS NULL))
) STRICT;
CREATE INDEX console_sessions_of_key ON console_sessions (key_id);
CREATE INDEX console_sessions_of_user ON console_sessions (user_id);
CREATE INDEX console_sessions_by_end ON console_sessions (ends_at);

-- Forms that were sent, so that none is sent twice: SHA-256 of what stood in it.
CREATE TABLE console_forms (
    hash    BLOB    NOT NULL PRIMARY KEY,
    used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX console_forms_by_use ON console_forms (used_at);
