-- name: add
-- A new grant; it is effective now unless it says when.
INSERT INTO grants (customer, feature, amount, kind, priority, effective_at, expires_at)
VALUES ($1, $2, $3, $4, $5, coalesce($6, now()), $7)
RETURNING grant_id, customer, feature, amount, kind, priority, effective_at, expires_at, created_at, voided_at;

-- name: every
-- Each grant that a customer was ever given.
SELECT grant_id, customer, feature, amount, kind, priority, effective_at, expires_at, created_at, voided_at
FROM grants WHERE customer = $1 ORDER BY grant_id;

-- name: owner
-- Whose grant it is.
SELECT customer FROM grants WHERE grant_id = $1;

-- name: void
-- Takes a grant away; nothing when it was taken away before.
UPDATE grants SET voided_at = now() WHERE grant_id = $1 AND voided_at IS NULL RETURNING voided_at;

