-- Whether some keys of a keyspace were made elsewhere, and so have no tag.
ALTER TABLE keyspaces ADD COLUMN holds_imported BOOLEAN NOT NULL DEFAULT FALSE;
