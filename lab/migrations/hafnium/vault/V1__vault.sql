CREATE TABLE tokens (
    token varchar(64) PRIMARY KEY,
    kind varchar(20) NOT NULL,
    ciphertext bytea NOT NULL,
    key_id varchar(40) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE token_access (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token varchar(64) NOT NULL REFERENCES tokens (token),
    accessed_by varchar(80) NOT NULL,
    accessed_at timestamptz NOT NULL DEFAULT now()
);
