-- name: lock
-- One credential is made at a time, so that the bounds and the names hold; released with the transaction.
SELECT pg_advisory_xact_lock(70704);

-- name: in_force_count
-- How many are in force.
SELECT (SELECT count(*) FROM credentials) - (SELECT count(*) FROM credential_revocations);

-- name: same_name
-- The credential in force that has this name in its certificate.
SELECT credential FROM credentials LEFT JOIN credential_revocations USING (credential)
WHERE certificate_name = $1 AND revoked_at IS NULL;

-- name: add
-- A new credential.
INSERT INTO credentials (name, role, mode, customers, prefix, digest, certificate_name)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING credential, created_at;

-- name: revoke
-- Takes a credential out of force; nothing when it is out already, or was never made.
INSERT INTO credential_revocations (credential)
SELECT credential FROM credentials WHERE credential = $1
ON CONFLICT (credential) DO NOTHING RETURNING revoked_at;

-- name: every
-- Each credential that was ever made.
SELECT credential, name, role, mode, customers, prefix, certificate_name, created_at, revoked_at
FROM credentials LEFT JOIN credential_revocations USING (credential) ORDER BY credential;

-- name: version
-- Rises with each credential made and each revoked, in the order in which that was committed.
SELECT (SELECT count(*) FROM credentials) + (SELECT count(*) FROM credential_revocations);

-- name: in_force
-- The credentials in force with their version, both as of one moment; one row without a credential when there is none.
SELECT (SELECT count(*) FROM credentials) + (SELECT count(*) FROM credential_revocations) AS version,
       held.credential, held.name, held.role, held.mode, held.customers, held.digest, held.certificate_name
FROM (SELECT) AS once LEFT JOIN (
    SELECT credentials.* FROM credentials LEFT JOIN credential_revocations USING (credential) WHERE revoked_at IS NULL
) AS held ON true
ORDER BY held.credential;
