-- name: lock
-- One migrating process at a time; released with the transaction.
SELECT pg_advisory_xact_lock(70701);

-- name: create_table
-- Where the applied migrations are remembered.
CREATE TABLE IF NOT EXISTS migrations (
    number     int PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: has_table
-- Whether anything was ever migrated here.
SELECT to_regclass('migrations') IS NOT NULL;

-- name: applied
-- What has been applied.
SELECT number, checksum FROM migrations ORDER BY number;

-- name: record
-- Remember one migration.
INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3);
