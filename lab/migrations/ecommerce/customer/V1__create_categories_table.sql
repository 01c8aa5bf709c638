CREATE TABLE categories (
    id uuid PRIMARY KEY,
    name varchar(100) NOT NULL UNIQUE,
    description varchar(500),
    created_at timestamp NOT NULL DEFAULT now()
);
