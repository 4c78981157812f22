-- How often verifications ended with which code, hour by hour, in UTC. `day` counts from the Unix epoch, `hour` from
-- its midnight; what `code` means stands in src/code_number.rs. The day comes first: what is written now lies together,
-- and what is too old lies at one end.

CREATE TABLE key_uses (
    day    INTEGER  NOT NULL,
    hour   SMALLINT NOT NULL CHECK (hour BETWEEN 0 AND 23),
    code   SMALLINT NOT NULL,
    -- References nothing: what is left of a key that is gone is removed a little at a time (departed_keys).
    key_id UUID     NOT NULL,
    count  BIGINT   NOT NULL,
    PRIMARY KEY (day, key_id, hour, code)
);

CREATE TABLE user_uses (
    day     INTEGER  NOT NULL,
    hour    SMALLINT NOT NULL CHECK (hour BETWEEN 0 AND 23),
    code    SMALLINT NOT NULL,
    count   BIGINT   NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (day, user_id, hour, code)
);

-- A keyspace '' is text that begins like no keyspace's keys, and '*' is everything.
CREATE TABLE keyspace_uses (
    day      INTEGER  NOT NULL,
    hour     SMALLINT NOT NULL CHECK (hour BETWEEN 0 AND 23),
    code     SMALLINT NOT NULL,
    count    BIGINT   NOT NULL,
    keyspace TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (day, keyspace, hour, code)
);

-- The days that the three tables above hold: so that a key or a user is looked up in them day by day.
CREATE TABLE usage_days (
    day INTEGER NOT NULL PRIMARY KEY
);

-- Keys that were deleted, and whose counts are still to be removed.
CREATE TABLE departed_keys (
    key_id UUID NOT NULL PRIMARY KEY
);

-- Shared by who counts, held alone by who deletes keys: so that nothing is counted for a key that goes meanwhile, and
-- no row of a key is locked to count for it. One row.
CREATE TABLE usage_gate (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1)
);
INSERT INTO usage_gate (id) VALUES (1);
