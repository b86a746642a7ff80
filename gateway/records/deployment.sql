-- name: lock
-- One keeper at a time; released with the transaction.
SELECT pg_advisory_xact_lock(70702);

-- name: be_born
-- Names a deployment once.
INSERT INTO deployment (id) VALUES ($1) ON CONFLICT (one) DO NOTHING;

-- name: read
-- The one row.
SELECT id, epoch, replid, opened FROM deployment;

-- name: decide_epoch
-- The next epoch, on this Redis, not yet open.
UPDATE deployment SET epoch = $1, replid = $2, opened = false;

-- name: mark_opened
-- Every line says so.
UPDATE deployment SET opened = true WHERE epoch = $1;
