-- name: add_customer
-- A new customer; nothing when the id is taken.
INSERT INTO customers (customer, root, bucket) VALUES ($1, $2, $3)
ON CONFLICT (customer) DO NOTHING RETURNING created_at;

-- name: customer
-- One customer with its subscription, if it has one.
SELECT customer.customer, customer.root, customer.bucket, customer.document_version,
       subscription.subscription, subscription.plan, subscription.plan_version, subscription.started_at,
       subscription.anchor
FROM customers AS customer LEFT JOIN subscriptions AS subscription USING (customer)
WHERE customer.customer = $1;

-- name: lock_customer
-- Holds a customer while its subscription is decided.
SELECT customer FROM customers WHERE customer = $1 FOR UPDATE;

-- name: newest_version
-- The version of a plan that new subscriptions start on.
SELECT max(version) FROM plan_versions WHERE plan = $1;

-- name: add_subscription
-- Starts today, in UTC; nothing when the customer has one.
INSERT INTO subscriptions (customer, plan, plan_version, anchor)
VALUES ($1, $2, $3, date_trunc('day', now(), 'UTC'))
ON CONFLICT (customer) DO NOTHING RETURNING subscription, started_at;

-- name: change_document
-- The customer's document is another one from here on.
UPDATE customers SET document_version = document_version + 1 WHERE customer = $1;

-- name: publish_customer
-- Marks a customer's document for publishing.
INSERT INTO publications (customer) VALUES ($1);
