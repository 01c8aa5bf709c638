CREATE TABLE products (
    id uuid PRIMARY KEY,
    sku varchar(50) NOT NULL UNIQUE CHECK (sku ~ '^[A-Z0-9-]+$'),
    name varchar(200) NOT NULL,
    description text,
    price numeric(10, 2) NOT NULL CHECK (price >= 0),
    inventory_quantity integer NOT NULL CHECK (inventory_quantity >= 0),
    category_id uuid NOT NULL REFERENCES categories (id),
    active boolean NOT NULL DEFAULT true,
    created_at timestamp NOT NULL DEFAULT now()
);
