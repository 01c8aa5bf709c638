CREATE TABLE cases (
    id uuid PRIMARY KEY,
    case_number bigint GENERATED ALWAYS AS IDENTITY,
    customer_id uuid NOT NULL,
    state varchar(20) NOT NULL DEFAULT 'OPEN',
    opened_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE case_notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    case_id uuid NOT NULL REFERENCES cases (id),
    written_by varchar(80) NOT NULL,
    note text NOT NULL
);
