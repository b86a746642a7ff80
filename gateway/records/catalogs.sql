-- name: lock
-- One catalog is applied at a time; released with the transaction.
SELECT pg_advisory_xact_lock(70703);

-- name: newest
-- The newest version of every plan.
SELECT DISTINCT ON (plan) plan, version, product, definition FROM plan_versions ORDER BY plan, version DESC;

-- name: in_force
-- The file that is in force for a product.
SELECT source FROM catalogs WHERE product = $1 ORDER BY version DESC LIMIT 1;

-- name: add_catalog
-- Keeps the file as it was applied.
INSERT INTO catalogs (product, source) VALUES ($1, $2) RETURNING version;

-- name: add_plan_version
-- A plan whose content is new.
INSERT INTO plan_versions (plan, version, product, definition, catalog_version) VALUES ($1, $2, $3, $4, $5);

-- name: publish_product
-- Marks every version of a product's plans for publishing.
INSERT INTO publications (plan, version) SELECT plan, version FROM plan_versions WHERE product = $1;

-- name: plan_version
-- One version, with the catalog that is in force for its product.
SELECT plan.definition, catalog.version AS catalog_version, catalog.source AS catalog_source
FROM plan_versions AS plan
JOIN catalogs AS catalog ON catalog.version = (SELECT max(version) FROM catalogs WHERE product = plan.product)
WHERE plan.plan = $1 AND plan.version = $2;
