-- name: waiting
-- The oldest documents that changed and are not in Redis yet; another publisher passes over them meanwhile.
SELECT publication, customer, plan, version FROM publications ORDER BY publication LIMIT $1 FOR UPDATE SKIP LOCKED;

-- name: done
-- These are in Redis.
DELETE FROM publications WHERE publication = ANY ($1::bigint[]);
