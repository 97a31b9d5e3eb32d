-- The id of the key that made a key. NULL: an administrator did.
ALTER TABLE keys ADD COLUMN made_by TEXT;
