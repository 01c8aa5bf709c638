CREATE TABLE order_created_outbox (
    id uuid PRIMARY KEY,
    aggregate_id uuid NOT NULL,
    aggregate_type varchar(50) NOT NULL,
    event_type varchar(100) NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamp NOT NULL DEFAULT now(),
    published_at timestamp,
    status varchar(20) NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'PUBLISHED', 'FAILED')),
    retry_count integer NOT NULL DEFAULT 0,
    error_message text
);

CREATE INDEX idx_outbox_pending ON order_created_outbox (status, created_at) WHERE status = 'PENDING';
CREATE INDEX idx_outbox_aggregate ON order_created_outbox (aggregate_type, aggregate_id);
