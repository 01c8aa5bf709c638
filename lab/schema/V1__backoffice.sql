CREATE TABLE order_meta (
    order_id text PRIMARY KEY,
    account_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL
);

CREATE TABLE order_filled_total (
    order_id text PRIMARY KEY,
    filled_qty_total bigint NOT NULL
);

CREATE TABLE positions (
    account_id text NOT NULL,
    symbol text NOT NULL,
    net_qty bigint NOT NULL,
    avg_price bigint,
    PRIMARY KEY (account_id, symbol)
);

CREATE TABLE balances (
    account_id text NOT NULL,
    currency text NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (account_id, currency)
);

CREATE TABLE realized_pnl (
    account_id text NOT NULL,
    symbol text NOT NULL,
    quote_ccy text NOT NULL,
    realized_pnl bigint NOT NULL,
    PRIMARY KEY (account_id, symbol, quote_ccy)
);

CREATE TABLE fills (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL,
    account_id text NOT NULL,
    order_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    filled_qty_delta bigint NOT NULL,
    filled_qty_total bigint NOT NULL,
    price bigint,
    quote_ccy text NOT NULL,
    quote_cash_delta bigint NOT NULL,
    fee_quote bigint NOT NULL DEFAULT 0
);

CREATE INDEX fills_account_idx ON fills (account_id);
CREATE INDEX fills_order_idx ON fills (order_id);
