-- Whether some keys of a keyspace were made elsewhere, and so have no tag.
ALTER TABLE keyspaces ADD COLUMN holds_imported INTEGER NOT NULL DEFAULT 0 CHECK (holds_imported IN (0, 1));
