CREATE TABLE orders (
    id uuid PRIMARY KEY,
    order_number varchar(20) NOT NULL UNIQUE,
    customer_name varchar(200) NOT NULL,
    customer_email varchar(255) NOT NULL,
    status order_status NOT NULL DEFAULT 'PENDING',
    subtotal numeric(10, 2) NOT NULL,
    created_at timestamp NOT NULL DEFAULT now(),
    updated_at timestamp NOT NULL DEFAULT now()
);
