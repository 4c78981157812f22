-- Who is signed in to the console: by a service key, or as a user of the identity provider.
CREATE TABLE console_sessions (
    id         UUID    NOT NULL PRIMARY KEY,
    -- SHA-256 of what the browser keeps.
    hash       BYTEA   NOT NULL UNIQUE,
    -- Of a service key, which is never deleted.
    key_id     UUID,
    user_id    TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    operator   BOOLEAN NOT NULL,
    began_at   BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL,
    -- Whatever is seen of it, it ends then.
    ends_at    BIGINT  NOT NULL,
    ip         TEXT,
    user_agent TEXT,
    CHECK ((key_id IS NULL) <> (user_id IS NULL))
);
CREATE INDEX console_sessions_of_key ON console_sessions (key_id);
CREATE INDEX console_sessions_of_user ON console_sessions (user_id);
CREATE INDEX console_sessions_by_end ON console_sessions (ends_at);

-- Forms that were sent, so that none is sent twice: SHA-256 of what stood in it.
CREATE TABLE console_forms (
    hash    BYTEA   NOT NULL PRIMARY KEY,
    used_at BIGINT  NOT NULL
);
CREATE INDEX console_forms_by_use ON console_forms (used_at);
