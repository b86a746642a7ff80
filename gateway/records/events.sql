-- name: hold
-- Events that nobody else refunds meanwhile, in the order in which they were decided.
SELECT event_id, at, customer, feature, meter, quantity, document_version, kind, dimensions, subject, moves
FROM events WHERE event_id = ANY ($1::text[]) ORDER BY at, event_id FOR UPDATE;

-- name: find
-- Those of these events that are written down.
SELECT event_id, at, customer, feature, meter, quantity, document_version, kind, dimensions, subject, moves
FROM events WHERE event_id = ANY ($1::text[]);

-- name: refund
-- What was given back of an event.
SELECT event_id, customer, quantity, reason, fingerprint, refunded_at FROM refunds WHERE event_id = $1;

-- name: refund_of_request
-- What was given back on a request.
SELECT event_id, customer, quantity, reason, fingerprint, refunded_at FROM refunds
WHERE customer = $1 AND request_id = $2;

-- name: add_refund
-- Gives back, once for each event and request; nothing when that was done before.
INSERT INTO refunds (event_id, customer, quantity, reason, request_id, fingerprint) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING event_id, customer, quantity, reason, fingerprint, refunded_at;

-- name: hold_customers
-- Customers whose late usage nobody else takes in meanwhile; sorted, so that two never deadlock.
SELECT customer FROM customers WHERE customer = ANY ($1::text[]) ORDER BY customer FOR UPDATE;
