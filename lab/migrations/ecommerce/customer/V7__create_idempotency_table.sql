CREATE TABLE checkout_idempotency (
    idempotency_key varchar(255) PRIMARY KEY,
    request_fingerprint varchar(64) NOT NULL,
    response_status integer NOT NULL,
    response_body text NOT NULL,
    created_at timestamp NOT NULL DEFAULT now(),
    expires_at timestamp NOT NULL
);

CREATE INDEX idx_checkout_idempotency_expires_at ON checkout_idempotency (expires_at);
