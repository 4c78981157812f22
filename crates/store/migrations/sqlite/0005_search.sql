-- What people look for keys by in the console. Of the name the case of A to Z does not count.
CREATE INDEX api_keys_by_name ON api_keys (lower(name), id);
CREATE INDEX api_keys_of_user_by_name ON api_keys (user_id, lower(name), id);
CREATE INDEX api_keys_by_prefix ON api_keys (prefix, id);
CREATE INDEX api_keys_by_postfix ON api_keys (postfix, id);
-- What they narrow lists by.
CREATE INDEX api_keys_by_status ON api_keys (status, id);
CREATE INDEX api_keys_of_user_by_status ON api_keys (user_id, status, created_at, id);
CREATE INDEX api_keys_of_user_by_keyspace ON api_keys (user_id, keyspace, created_at, id);
CREATE INDEX api_keys_by_keyspace ON api_keys (keyspace, id);
