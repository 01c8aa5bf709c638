-- One row a day: every checkout of a day takes its number from it.
CREATE TABLE order_number_sequence (
    sequence_date date PRIMARY KEY,
    last_sequence bigint NOT NULL DEFAULT 0
);
