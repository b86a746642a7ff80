-- Every kind of limit: what one customer has besides its plan, what each counter took, and what Redis must still be told.

ALTER TABLE customers
    -- an IANA name; calendar windows begin when its clocks say so
    ADD COLUMN timezone text NOT NULL DEFAULT 'UTC';

ALTER TABLE subscriptions
    -- null without a trial; what the trial gave ends with it
    ADD COLUMN trial_ends_at timestamptz,
    ADD COLUMN status        text        NOT NULL DEFAULT 'active'
        CHECK (status IN ('active', 'paused', 'suspended', 'past_due')),
    ADD COLUMN status_since  timestamptz NOT NULL DEFAULT now();

CREATE TABLE grants (
    grant_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer     text        NOT NULL REFERENCES customers,
    feature      text        NOT NULL,
    amount       bigint      NOT NULL CHECK (amount BETWEEN 1 AND 9007199254740991),
    kind         text        NOT NULL CHECK (kind IN ('top_up', 'promotional')),
    -- the lower one burns first
    priority     smallint    NOT NULL DEFAULT 100 CHECK (priority BETWEEN 0 AND 255),
    effective_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    voided_at    timestamptz,
    CHECK (expires_at > effective_at)
);
CREATE INDEX grants_by_customer ON grants (customer);
COMMENT ON TABLE grants IS 'quantities that one customer may use besides its plan; a row is never changed but to void it';

CREATE TABLE overrides (
    customer    text        NOT NULL REFERENCES customers,
    feature     text        NOT NULL,
    -- canonical JSON in the catalog's notation, as text: its numbers stay exact
    entitlement text        NOT NULL,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer, feature)
);
COMMENT ON TABLE overrides IS 'what one customer is entitled to instead of what its plan says';

CREATE TABLE subscription_add_ons (
    subscription bigint      NOT NULL REFERENCES subscriptions,
    add_on       text        NOT NULL,
    quantity     bigint      NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, add_on)
);

CREATE TABLE licence_counts (
    subscription bigint      NOT NULL REFERENCES subscriptions,
    feature      text        NOT NULL,
    quantity     bigint      NOT NULL CHECK (quantity BETWEEN 0 AND 9007199254740991),
    since        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subscription, feature)
);

-- 0 use · 1 reserve · 2 end of a reservation · 3 its late commit · 4 refund · 5 ingested
ALTER TABLE events
    ADD COLUMN kind       smallint NOT NULL DEFAULT 0 CHECK (kind BETWEEN 0 AND 5),
    ADD COLUMN dimensions jsonb,
    ADD COLUMN subject    text,
    -- [[counter, window_start, amount], …]; null when a gateway wrote it that did not tell
    ADD COLUMN moves      jsonb,
    ALTER COLUMN meter DROP NOT NULL,
    -- null when it came through no stream
    ALTER COLUMN stream_ms DROP NOT NULL,
    ALTER COLUMN stream_sequence DROP NOT NULL,
    DROP CONSTRAINT events_quantity_check,
    ADD CONSTRAINT events_quantity_check CHECK (
        CASE kind
            WHEN 1 THEN quantity = 0
            WHEN 2 THEN quantity BETWEEN 0 AND 9007199254740991
            WHEN 3 THEN quantity BETWEEN 0 AND 9007199254740991
            WHEN 4 THEN quantity BETWEEN -9007199254740991 AND -1
            ELSE quantity BETWEEN 1 AND 9007199254740991
        END);

CREATE TABLE counter_totals (
    customer     text    NOT NULL,
    counter      text    NOT NULL,
    -- in ms; of a rollover slot its window's ordinal
    window_start bigint  NOT NULL,
    used         numeric NOT NULL,
    PRIMARY KEY (customer, counter, window_start)
);
COMMENT ON TABLE counter_totals IS 'the sum of the moves of events by counter and window, kept in the transaction that writes them';

CREATE TABLE threshold_crossings (
    customer     text        NOT NULL,
    feature      text        NOT NULL,
    counter      text        NOT NULL,
    window_start bigint      NOT NULL,
    -- in percent of the ceiling
    level        int         NOT NULL,
    ceiling      bigint      NOT NULL,
    used         numeric     NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer, feature, counter, window_start, level, ceiling)
);
COMMENT ON TABLE threshold_crossings IS 'each level of a limit that a window reached, once';

CREATE TABLE outbox_numbers (
    bucket text   PRIMARY KEY,
    last   bigint NOT NULL
);

CREATE TABLE outbox (
    bucket           text        NOT NULL,
    -- without a gap in each bucket, in the order in which they were committed
    number           bigint      NOT NULL CHECK (number >= 1),
    customer         text        NOT NULL,
    document_version bigint      NOT NULL,
    -- the event that it is for
    event_id         text        NOT NULL,
    -- [[counter, window_start, window_end, amount], …]; a window_end of 0 opens no window
    moves            jsonb       NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    -- null until the bucket's head in Redis has its number
    applied_at       timestamptz,
    PRIMARY KEY (bucket, number)
);
CREATE INDEX outbox_unapplied ON outbox (bucket, number) WHERE applied_at IS NULL;
COMMENT ON TABLE outbox IS 'what was decided here and moves live counters; applied in order, once';

CREATE TABLE refunds (
    -- the event that is refunded; of a reservation its own id
    event_id    text        PRIMARY KEY,
    customer    text        NOT NULL,
    quantity    bigint      NOT NULL CHECK (quantity >= 1),
    reason      text        NOT NULL,
    request_id  text,
    -- of the request under that id
    fingerprint text        NOT NULL,
    refunded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (customer, request_id)
);
COMMENT ON TABLE refunds IS 'what was given back, once for each event';
