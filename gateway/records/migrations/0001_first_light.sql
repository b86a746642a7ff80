-- The truth: what is sold, to whom, what was used, and how far Redis's streams have been written down.

CREATE TABLE deployment (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    id         text    NOT NULL,
    epoch      bigint  NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    replid     text    NOT NULL DEFAULT '',
    -- false from the moment the next epoch is decided until every bucket's line says so
    opened     boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE deployment IS 'one row: which deployment this is and which epoch of counters it believes';

CREATE TABLE catalogs (
    version    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product    text        NOT NULL,
    source     text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE catalogs IS 'each catalog file as it was applied; the newest of a product is in force';

CREATE TABLE plan_versions (
    plan            text   NOT NULL,
    version         bigint NOT NULL CHECK (version >= 1),
    product         text   NOT NULL,
    -- a catalog with this one plan, in canonical form: what was sold, whole, for ever
    definition      text   NOT NULL,
    catalog_version bigint NOT NULL REFERENCES catalogs,
    PRIMARY KEY (plan, version)
);
COMMENT ON TABLE plan_versions IS 'immutable; a subscription stays on its version until moved';

CREATE TABLE customers (
    customer         text PRIMARY KEY,
    -- the top of its hierarchy, set once: it decides the bucket
    root             text        NOT NULL,
    bucket           smallint    NOT NULL,
    document_version bigint      NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE subscriptions (
    subscription bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer     text        NOT NULL REFERENCES customers,
    plan         text        NOT NULL,
    plan_version bigint      NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    -- billing periods are counted from here
    anchor       timestamptz NOT NULL,
    FOREIGN KEY (plan, plan_version) REFERENCES plan_versions
);
CREATE UNIQUE INDEX one_subscription_per_customer ON subscriptions (customer);

CREATE TABLE publications (
    publication bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer    text,
    plan        text,
    version     bigint,
    CHECK ((customer IS NULL) <> (plan IS NULL))
);
COMMENT ON TABLE publications IS 'documents that changed and are not in Redis yet; written with the change';

CREATE TABLE watermarks (
    bucket    text   PRIMARY KEY,
    ms        bigint NOT NULL DEFAULT 0,
    sequence  bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE watermarks IS 'the last stream entry of each bucket that is written down here';

CREATE TABLE events (
    event_id         text        PRIMARY KEY,
    at               timestamptz NOT NULL,
    customer         text        NOT NULL,
    feature          text        NOT NULL,
    meter            text        NOT NULL,
    quantity         bigint      NOT NULL CHECK (quantity BETWEEN 1 AND 9007199254740991),
    document_version bigint      NOT NULL,
    bucket           text        NOT NULL,
    stream_ms        bigint      NOT NULL,
    stream_sequence  bigint      NOT NULL
);
CREATE INDEX events_by_customer ON events (customer, meter, at);
COMMENT ON TABLE events IS 'each counted use, once';

CREATE TABLE usage_totals (
    customer text        NOT NULL,
    meter    text        NOT NULL,
    hour     timestamptz NOT NULL,
    quantity numeric     NOT NULL,
    events   bigint      NOT NULL,
    PRIMARY KEY (customer, meter, hour)
);
COMMENT ON TABLE usage_totals IS 'the sum of events by hour, kept in the transaction that writes them';

CREATE TABLE quarantine (
    bucket          text   NOT NULL,
    stream_ms       bigint NOT NULL,
    stream_sequence bigint NOT NULL,
    fields          jsonb  NOT NULL,
    why             text   NOT NULL,
    PRIMARY KEY (bucket, stream_ms, stream_sequence)
);
COMMENT ON TABLE quarantine IS 'stream entries that are no usage events, kept for a person to look at';
