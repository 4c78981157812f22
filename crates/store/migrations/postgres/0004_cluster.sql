-- What nodes tell of themselves. (No row was ever written.)
ALTER TABLE nodes
    ADD COLUMN version TEXT   NOT NULL,
    ADD COLUMN address TEXT   NOT NULL,
    ADD COLUMN keys    BIGINT NOT NULL,
    ADD COLUMN hits    BIGINT NOT NULL,
    ADD COLUMN misses  BIGINT NOT NULL;

-- A process of an older protocol names none, and so can make no change that the nodes would not be waited for.
ALTER TABLE change_log ADD COLUMN protocol BIGINT NOT NULL DEFAULT 1;
ALTER TABLE change_log ALTER COLUMN protocol DROP DEFAULT;
UPDATE cluster SET protocol = 2 WHERE id = 1;
