-- name: next
-- The next number of a bucket: whoever has it keeps others waiting until the commit, so that numbers come in order.
INSERT INTO outbox_numbers AS held (bucket, last) VALUES ($1, 1)
ON CONFLICT (bucket) DO UPDATE SET last = held.last + 1 RETURNING last;

-- name: add
-- What a bucket's counters must be told.
INSERT INTO outbox (bucket, number, customer, document_version, event_id, moves) VALUES ($1, $2, $3, $4, $5, $6::jsonb);

-- name: behind
-- The next rows of each bucket behind the one it has.
SELECT waiting.*
FROM unnest($1::text[], $2::bigint[]) AS head (bucket, number)
CROSS JOIN LATERAL (
    SELECT outbox.bucket, outbox.number, outbox.customer, outbox.document_version, outbox.event_id, outbox.moves
    FROM outbox WHERE outbox.bucket = head.bucket AND outbox.number > head.number ORDER BY outbox.number LIMIT $3
) AS waiting ORDER BY waiting.bucket, waiting.number;

-- name: mark
-- These are in the live counters.
UPDATE outbox SET applied_at = now()
FROM unnest($1::text[], $2::bigint[]) AS head (bucket, number)
WHERE outbox.bucket = head.bucket AND outbox.number <= head.number AND outbox.applied_at IS NULL;
