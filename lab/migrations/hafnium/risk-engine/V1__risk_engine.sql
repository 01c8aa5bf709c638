CREATE TABLE models (
    name varchar(80) NOT NULL,
    version varchar(20) NOT NULL,
    weights jsonb NOT NULL,
    PRIMARY KEY (name, version)
);

CREATE TABLE scores (
    transaction_id uuid PRIMARY KEY,
    model varchar(80) NOT NULL,
    model_version varchar(20) NOT NULL,
    score numeric(5, 4) NOT NULL,
    scored_at timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (model, model_version) REFERENCES models (name, version)
);
