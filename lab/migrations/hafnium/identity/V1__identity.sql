CREATE TABLE customers (
    id uuid PRIMARY KEY,
    tenant varchar(64) NOT NULL,
    email varchar(320) NOT NULL,
    kyc_state varchar(20) NOT NULL DEFAULT 'PENDING',
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, email)
);

CREATE TABLE kyc_checks (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL REFERENCES customers (id),
    kind varchar(40) NOT NULL,
    outcome varchar(20),
    checked_at timestamptz
);

CREATE INDEX kyc_checks_customer_idx ON kyc_checks (customer_id);
