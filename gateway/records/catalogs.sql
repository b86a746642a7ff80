-- name: lock
-- One catalog is applied at a time; released with the transaction.
SELECT pg_advisory_xact_lock(70703);

-- name: newest
-- The newest version of each of these plans.
SELECT DISTINCT ON (plan) plan, version, product, definition FROM plan_versions
WHERE plan = ANY ($1::text[]) ORDER BY plan, version DESC;

-- name: in_force
-- The file that is in force for a product.
SELECT source FROM catalogs WHERE product = $1 ORDER BY version DESC LIMIT 1;

-- name: add_catalog
-- Keeps the file as it was applied.
INSERT INTO catalogs (product, source) VALUES ($1, $2) RETURNING version;

-- name: add_plan_versions
-- Plans whose content is new.
INSERT INTO plan_versions (product, catalog_version, plan, version, definition)
SELECT $1::text, $2::bigint, * FROM unnest($3::text[], $4::bigint[], $5::text[]);

-- name: publish_product
-- Marks every version of a product's plans for publishing.
INSERT INTO publications (plan, version) SELECT plan, version FROM plan_versions WHERE product = $1;

-- name: plan_version
-- One version, and which catalog is in force for its product.
SELECT plan.definition, (SELECT max(catalog.version) FROM catalogs AS catalog WHERE catalog.product = plan.product) AS in_force
FROM plan_versions AS plan WHERE plan.plan = $1 AND plan.version = $2;

-- name: source
-- A catalog's file.
SELECT source FROM catalogs WHERE version = $1;
