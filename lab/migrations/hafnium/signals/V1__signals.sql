CREATE TABLE devices (
    id uuid PRIMARY KEY,
    fingerprint varchar(128) NOT NULL UNIQUE,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE signals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id uuid NOT NULL REFERENCES devices (id),
    name varchar(80) NOT NULL,
    value double precision NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
