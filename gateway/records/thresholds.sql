-- name: plans
-- Which version of which plan each of these customers is on, and which document says so.
SELECT customer, document_version, plan, plan_version
FROM customers LEFT JOIN subscriptions USING (customer) WHERE customer = ANY ($1::text[]);

-- name: overrides
-- What each of these customers has instead of what its plan says.
SELECT customer, feature, entitlement, expires_at FROM overrides WHERE customer = ANY ($1::text[]);

-- name: cross
-- Writes the levels that were not reached before, and tells them; sorted, so that two never deadlock.
INSERT INTO threshold_crossings (customer, feature, counter, window_start, level, ceiling, used)
SELECT customer, feature, counter, window_start, level, ceiling, used
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::int[], $6::bigint[], $7::numeric[])
     AS reached (customer, feature, counter, window_start, level, ceiling, used)
ORDER BY 1, 2, 3, 4, 5, 6
ON CONFLICT DO NOTHING
RETURNING customer, feature, counter, window_start, level, ceiling, used;
