CREATE TABLE processed_events (
    event_id uuid PRIMARY KEY,
    event_type varchar(50) NOT NULL CHECK (event_type IN ('ORDER_CREATED', 'PAYMENT_COMPLETED')),
    processed_at timestamp NOT NULL DEFAULT now(),
    order_id uuid
);

CREATE INDEX idx_processed_events_processed_at ON processed_events (processed_at);

CREATE FUNCTION cleanup_old_processed_events() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    removed integer;
BEGIN
    DELETE FROM processed_events WHERE processed_at < now() - interval '30 days';
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
