CREATE TABLE carts (
    id uuid PRIMARY KEY,
    session_id varchar(255) NOT NULL UNIQUE,
    created_at timestamp NOT NULL DEFAULT now(),
    expires_at timestamp NOT NULL
);
