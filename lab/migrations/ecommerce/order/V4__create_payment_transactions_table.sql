CREATE TABLE payment_transactions (
    id uuid PRIMARY KEY,
    order_id uuid NOT NULL UNIQUE REFERENCES orders (id),
    amount numeric(10, 2) NOT NULL,
    status payment_status NOT NULL DEFAULT 'PENDING',
    external_transaction_id varchar(100),
    created_at timestamp NOT NULL DEFAULT now()
);
