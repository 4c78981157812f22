-- Times are microseconds since the Unix epoch. Ids are UUIDv7.

CREATE TABLE keyspaces (
    name         TEXT    NOT NULL PRIMARY KEY,
    prefix       TEXT    NOT NULL UNIQUE,
    description  TEXT,
    self_service BOOLEAN NOT NULL,
    -- A JSON array of {"name", "description"}; the place in it is the permission's bit number, for good.
    permissions  TEXT    NOT NULL,
    -- 32 bytes a version, oldest first.
    tag_keys     BYTEA   NOT NULL,
    created_at   BIGINT  NOT NULL
);

-- The owner of service keys has the empty id.
CREATE TABLE users (
    -- Compared byte by byte, as in SQLite: lists are in this order.
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created_at BIGINT  NOT NULL,
    -- How many keys the user has, of every status: kept here so that nobody counts rows.
    api_keys   BIGINT  NOT NULL
);
CREATE INDEX users_newest ON users (created_at, id);

CREATE TABLE api_keys (
    id           UUID    NOT NULL PRIMARY KEY,
    -- SHA-256 of the key's text.
    hash         BYTEA   NOT NULL UNIQUE,
    keyspace     TEXT    NOT NULL REFERENCES keyspaces (name),
    user_id      TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    description  TEXT,
    -- The first and the last 8 characters of the key's text. Not unique, and never used to find a key.
    prefix       TEXT    NOT NULL,
    postfix      TEXT    NOT NULL,
    status       TEXT    NOT NULL CHECK (status IN ('ACTIVE', 'SUSPENDED', 'REVOKED')),
    -- Bit n is permission n of the keyspace.
    grants       BIGINT  NOT NULL,
    created_at   BIGINT  NOT NULL,
    updated_at   BIGINT  NOT NULL,
    last_used_at BIGINT,
    expires_at   BIGINT,
    suspended_at BIGINT,
    revoked_at   BIGINT,
    -- A JSON object.
    metadata     TEXT    NOT NULL,
    CHECK ((status = 'REVOKED') = (revoked_at IS NOT NULL)),
    CHECK (status <> 'ACTIVE' OR suspended_at IS NULL),
    CHECK (status <> 'SUSPENDED' OR suspended_at IS NOT NULL)
);
CREATE INDEX api_keys_of_user ON api_keys (user_id, created_at, id);

-- Entries outlive what they tell of, so nothing is referenced.
CREATE TABLE audit_log (
    id         UUID    NOT NULL PRIMARY KEY,
    at         BIGINT  NOT NULL,
    actor_kind TEXT    NOT NULL,
    actor_id   TEXT    NOT NULL,
    action     TEXT    NOT NULL,
    key_id     UUID,
    user_id    TEXT,
    keyspace   TEXT,
    -- JSON: the fields that changed.
    before     TEXT    NOT NULL,
    after      TEXT    NOT NULL,
    ip         TEXT,
    user_agent TEXT,
    request_id TEXT
);
CREATE INDEX audit_log_newest ON audit_log (at, id);
CREATE INDEX audit_log_of_key ON audit_log (key_id, at, id);
CREATE INDEX audit_log_of_user ON audit_log (user_id, at, id);
CREATE INDEX audit_log_by_kind ON audit_log (actor_kind, at, id);
CREATE INDEX audit_log_by_actor ON audit_log (actor_id, at, id);
CREATE INDEX audit_log_by_action ON audit_log (action, at, id);

-- Coherence of several nodes: see ARCHITECTURE.md. One row.
CREATE TABLE cluster (
    id        BIGINT  NOT NULL PRIMARY KEY CHECK (id = 1),
    -- The seq of the newest row of change_log.
    last_seq  BIGINT  NOT NULL,
    lease_ms  BIGINT  NOT NULL,
    margin_ms BIGINT  NOT NULL,
    protocol  BIGINT  NOT NULL
);
INSERT INTO cluster (id, last_seq, lease_ms, margin_ms, protocol) VALUES (1, 0, 3000, 150, 1);

-- What changed an earlier answer, in the order of commits, without gaps.
CREATE TABLE change_log (
    seq      BIGINT  NOT NULL PRIMARY KEY,
    -- Random, so that two histories that share a seq can be told apart.
    nonce    BYTEA   NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('key', 'user', 'keyspace')),
    key_hash BYTEA,
    user_id  TEXT,
    keyspace TEXT,
    at       BIGINT  NOT NULL,
    CHECK ((kind = 'key') = (key_hash IS NOT NULL)),
    CHECK ((kind = 'user') = (user_id IS NOT NULL)),
    CHECK ((kind = 'keyspace') = (keyspace IS NOT NULL))
);

CREATE TABLE nodes (
    node_id     UUID    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    renewal     BIGINT  NOT NULL,
    applied_seq BIGINT  NOT NULL,
    joined_at   BIGINT  NOT NULL
);
