CREATE TABLE transactions (
    id uuid NOT NULL,
    booked_at timestamptz NOT NULL,
    customer_id uuid NOT NULL,
    amount numeric(20, 4) NOT NULL,
    currency char(3) NOT NULL,
    PRIMARY KEY (id, booked_at)
) PARTITION BY RANGE (booked_at);

CREATE TABLE transactions_default PARTITION OF transactions DEFAULT;

CREATE TABLE alerts (
    id uuid PRIMARY KEY,
    transaction_id uuid NOT NULL,
    rule varchar(80) NOT NULL,
    raised_at timestamptz NOT NULL DEFAULT now()
);
