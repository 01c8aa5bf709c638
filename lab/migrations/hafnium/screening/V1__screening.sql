CREATE TABLE watchlist_entries (
    id uuid PRIMARY KEY,
    list_name varchar(80) NOT NULL,
    full_name varchar(400) NOT NULL,
    listed_on date NOT NULL
);

CREATE TABLE matches (
    id uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    entry_id uuid NOT NULL REFERENCES watchlist_entries (id),
    score numeric(5, 4) NOT NULL,
    decided_at timestamptz
);
