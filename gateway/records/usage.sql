-- name: watermarks
-- How far each bucket is written down.
SELECT bucket, ms, sequence FROM watermarks;

-- name: create_watermark
-- A bucket that is flushed for the first time.
INSERT INTO watermarks (bucket) VALUES ($1) ON CONFLICT (bucket) DO NOTHING;

-- name: advance_watermark
-- Moves on only from where the reading began: of two flushers with the same entries, one finds no row.
UPDATE watermarks SET ms = $4, sequence = $5 WHERE bucket = $1 AND ms = $2 AND sequence = $3 RETURNING bucket;

-- name: write_events
-- Writes events that are not there yet and adds just those to the totals; tells each counter's. Sorted: no two deadlock.
WITH written AS (
    INSERT INTO events (event_id, at, customer, feature, meter, quantity, document_version,
                        bucket, stream_ms, stream_sequence, kind, dimensions, subject, moves)
    SELECT event_id, at, customer, feature, meter, quantity, document_version,
           $1, stream_ms, stream_sequence, kind, dimensions::jsonb, subject, moves::jsonb
    FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
                $9::bigint[], $10::bigint[], $11::smallint[], $12::text[], $13::text[], $14::text[])
         AS entry (event_id, at, customer, feature, meter, quantity, document_version,
                   stream_ms, stream_sequence, kind, dimensions, subject, moves)
    ORDER BY event_id
    ON CONFLICT (event_id) DO NOTHING
    RETURNING customer, meter, date_trunc('hour', at, 'UTC') AS hour, quantity, moves
), totalled AS (
    INSERT INTO usage_totals AS total (customer, meter, hour, quantity, events)
    SELECT customer, meter, hour, sum(quantity), count(*) FILTER (WHERE quantity > 0)
    FROM written WHERE meter IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (customer, meter, hour) DO UPDATE
    SET quantity = total.quantity + excluded.quantity, events = total.events + excluded.events
)
INSERT INTO counter_totals AS total (customer, counter, window_start, used)
SELECT customer, move ->> 0, (move ->> 1)::bigint, sum((move ->> 2)::numeric)
FROM written CROSS JOIN LATERAL jsonb_array_elements(moves) AS move GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
ON CONFLICT (customer, counter, window_start) DO UPDATE SET used = total.used + excluded.used
RETURNING customer, counter, window_start, used;

-- name: quarantine
-- Keeps an unreadable entry, once.
INSERT INTO quarantine (bucket, stream_ms, stream_sequence, fields, why)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: totals
-- What a customer used of each meter in [start, end); both on the hour.
SELECT meter, sum(quantity)::numeric AS quantity
FROM usage_totals
WHERE customer = $1 AND hour >= $2 AND hour < $3
GROUP BY meter ORDER BY meter;
