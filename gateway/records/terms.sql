-- name: documents
-- Everything that the documents of these customers say, a row each: what is void, or over for a day, is left out.
SELECT customer.customer, customer.root, customer.bucket, customer.document_version, customer.timezone,
       held.plan, held.plan_version, held.started_at, held.anchor, held.trial_ends_at, held.status, held.status_since,
       (SELECT jsonb_object_agg(add_on, quantity) FROM subscription_add_ons WHERE subscription = held.subscription)
           AS add_ons,
       (SELECT jsonb_object_agg(feature, quantity) FROM licence_counts WHERE subscription = held.subscription)
           AS licences,
       (SELECT jsonb_agg(jsonb_build_array(grant_id, feature, amount, kind, priority,
                                           (extract(epoch FROM effective_at) * 1000)::bigint,
                                           (extract(epoch FROM expires_at) * 1000)::bigint,
                                           (extract(epoch FROM created_at) * 1000)::bigint) ORDER BY grant_id)
        FROM grants
        WHERE grants.customer = customer.customer AND voided_at IS NULL AND (expires_at > now() - interval '1 day') IS NOT FALSE) AS grants,
       (SELECT jsonb_agg(jsonb_build_array(feature, entitlement, (extract(epoch FROM expires_at) * 1000)::bigint)
                         ORDER BY feature)
        FROM overrides
        WHERE overrides.customer = customer.customer AND (expires_at > now() - interval '1 day') IS NOT FALSE) AS overrides
FROM customers AS customer LEFT JOIN subscriptions AS held USING (customer)
WHERE customer.customer = ANY ($1::text[]);

-- name: hold
-- Holds a customer while what it has is changed; tells its subscription.
SELECT customer, (SELECT subscription FROM subscriptions WHERE customer = held.customer) AS subscription
FROM customers AS held WHERE customer = $1 FOR UPDATE;

-- name: changed
-- The customer's document is another one from here on.
UPDATE customers SET document_version = document_version + 1 WHERE customer = $1 RETURNING document_version;

-- name: publish
-- Marks the customer's document for publishing.
INSERT INTO publications (customer) VALUES ($1);

-- name: set_add_on
-- So many of an add-on.
INSERT INTO subscription_add_ons (subscription, add_on, quantity) VALUES ($1, $2, $3)
ON CONFLICT (subscription, add_on) DO UPDATE SET quantity = excluded.quantity;

-- name: remove_add_on
-- None of it; nothing when there was none.
DELETE FROM subscription_add_ons WHERE subscription = $1 AND add_on = $2 RETURNING quantity;

-- name: set_licences
-- So many licences of a feature.
INSERT INTO licence_counts (subscription, feature, quantity) VALUES ($1, $2, $3)
ON CONFLICT (subscription, feature) DO UPDATE SET quantity = excluded.quantity, since = now();

-- name: set_trial
-- When the trial ends, or ended.
UPDATE subscriptions SET trial_ends_at = $2 WHERE subscription = $1;

-- name: set_status
-- Another status from now on; the same one has been since it began.
UPDATE subscriptions SET status = $2, status_since = CASE status WHEN $2 THEN status_since ELSE now() END
WHERE subscription = $1 RETURNING status_since;

-- name: set_timezone
-- Where the customer's calendar begins its days.
UPDATE customers SET timezone = $2 WHERE customer = $1;
