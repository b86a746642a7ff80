-- name: set
-- What a customer has of a feature instead of what its plan says.
INSERT INTO overrides (customer, feature, entitlement, expires_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (customer, feature) DO UPDATE
SET entitlement = excluded.entitlement, expires_at = excluded.expires_at, created_at = now();

-- name: every
-- Each override of a customer, also one that is over.
SELECT feature, entitlement, expires_at FROM overrides WHERE customer = $1 ORDER BY feature;

-- name: remove
-- What the plan says holds again; nothing when there was no override.
DELETE FROM overrides WHERE customer = $1 AND feature = $2 RETURNING feature;
