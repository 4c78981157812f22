-- Times are microseconds since the Unix epoch. Ids are UUIDv7, 16 bytes.

CREATE TABLE keyspaces (
    name         TEXT    NOT NULL PRIMARY KEY,
    prefix       TEXT    NOT NULL UNIQUE,
    description  TEXT,
    self_service INTEGER NOT NULL CHECK (self_service IN (0, 1)),
    -- A JSON array of {"name", "description"}; the place in it is the permission's bit number, for good.
    permissions  TEXT    NOT NULL,
    -- 32 bytes a version, oldest first.
    tag_keys     BLOB    NOT NULL,
    created_at   INTEGER NOT NULL
) STRICT;

-- The owner of service keys has the empty id.
CREATE TABLE users (
    id         TEXT    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    -- How many keys the user has, of every status: kept here so that nobody counts rows.
    api_keys   INTEGER NOT NULL
) STRICT;
CREATE INDEX users_newest ON users (created_at, id);

CREATE TABLE api_keys (
    id           BLOB    NOT NULL PRIMARY KEY,
    -- SHA-256 of the key's text.
    hash         BLOB    NOT NULL UNIQUE,
    keyspace     TEXT    NOT NULL REFERENCES keyspaces (name),
    user_id      TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    description  TEXT,
    -- The first and the last 8 characters of the key's text. Not unique, and never used to find a key.
    prefix       TEXT    NOT NULL,
    postfix      TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED')),
    -- Bit n is permission n of the keyspace.
    grants       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    expires_at   INTEGER,
    suspended_at INTEGER,
    revoked_at   INTEGER,
    -- A JSON object.
    metadata     TEXT    NOT NULL,
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK (status <> 'ACTIVE' OR suspended_at IS NULL),
    CHECK (status <> 'SUSPENDED' OR suspended_at IS NOT NULL)
) STRICT;
CREATE INDEX api_keys_of_user ON api_keys (user_id, created_at, id);

-- Entries outlive what they tell of, so nothing is referenced.
CREATE TABLE audit_log (
    id         BLOB    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    key_id     BLOB,
    user_id    TEXT,
    keyspace   TEXT,
    -- JSON: the fields that changed.
    before     TEXT    NOT NULL,
    after      TEXT    NOT NULL,
    ip         TEXT,
    user_agent TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX audit_log_newest ON audit_log (at, id);
CREATE INDEX audit_log_of_key ON audit_log (key_id, at, id);
CREATE INDEX audit_log_of_user ON audit_log (user_id, at, id);
CREATE INDEX audit_log_by_kind ON audit_log (actor_kind, at, id);
CREATE INDEX audit_log_by_actor ON audit_log (actor_id, at, id);
CREATE INDEX audit_log_by_action ON audit_log (action, at, id);

-- Coherence of several nodes: see ARCHITECTURE.md. One row.
CREATE TABLE cluster (
    id        INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    -- The seq of the newest row of change_log.
    last_seq  INTEGER NOT NULL,
    lease_ms  INTEGER NOT NULL,
    margin_ms INTEGER NOT NULL,
    protocol  INTEGER NOT NULL
) STRICT;
INSERT INTO cluster (id, last_seq, lease_ms, margin_ms, protocol) VALUES (1, 0, 3000, 150, 1);

-- What changed an earlier answer, in the order of commits, without gaps.
CREATE TABLE change_log (
    seq      INTEGER NOT NULL PRIMARY KEY,
    -- Random, so that two histories that share a seq can be told apart.
    nonce    BLOB    NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('key', 'user', 'keyspace')),
    key_hash BLOB,
    user_id  TEXT,
    keyspace TEXT,
    at       INTEGER NOT NULL,
    CHECK ((kind = 'key') = (key_hash IS NOT NULL)),
    CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    CHECK ((kind = 'keyspace') = (keyspace IS NOT NULL))
) STRICT;

CREATE TABLE nodes (
    node_id     BLOB    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    renewal     INTEGER NOT NULL,
    applied_seq INTEGER NOT NULL,
    joined_at   INTEGER NOT NULL
) STRICT;
