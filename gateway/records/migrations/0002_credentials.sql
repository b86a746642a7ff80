-- Who may call: credentials as they were made, and revocations as they came. Rows are added, never changed.

CREATE TABLE credentials (
    credential       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text        NOT NULL DEFAULT '',
    role             text        NOT NULL,
    mode             text        NOT NULL CHECK (mode IN ('live', 'test')),
    -- the only customers it may name; null for all of them
    customers        text[],
    -- of an API key: what may be shown of it, and SHA-256 of all of it, in hex; the key itself is nowhere
    prefix           text,
    digest           text UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    -- of a client certificate: the name in it, a URI or a DNS name
    certificate_name text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((prefix IS NULL) = (digest IS NULL)),
    CHECK ((digest IS NULL) <> (certificate_name IS NULL))
);
COMMENT ON TABLE credentials IS 'API keys, by digest, and client certificates, by name';

CREATE TABLE credential_revocations (
    credential bigint PRIMARY KEY REFERENCES credentials,
    revoked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE credential_revocations IS 'what is in here is in force no more, for ever';
