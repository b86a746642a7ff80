-- name: waiting
-- The oldest documents that changed and are not in Redis yet; another publisher passes over them meanwhile.
SELECT publication, customer, plan, version FROM publications ORDER BY publication LIMIT $1 FOR UPDATE SKIP LOCKED;

-- name: any_left
-- Whether a document waits, in anybody's hands.
SELECT EXISTS (SELECT FROM publications);

-- name: done
-- These are in Redis.
DELETE FROM publications WHERE publication = ANY ($1::bigint[]);

-- name: all_customers
-- Every customer's document is to be published.
INSERT INTO publications (customer) SELECT customer FROM customers ORDER BY customer;

-- name: all_plans
-- The document of every plan's version is to be published.
INSERT INTO publications (plan, version) SELECT plan, version FROM plan_versions ORDER BY plan, version;
