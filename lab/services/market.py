# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small, flat order flow: one BUY and one SELL through the gateway every two seconds.

Run with ``python -m lab.services.market``. Variables: GATEWAY_URL, JWT_HS256_SECRET, MARKET_ACCOUNT_ID,
MARKET_SYMBOL, MARKET_INTERVAL_SEC. A gateway that does not answer is retried at the next tick.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import jwt

from lab.services import env, process

REQUEST_TIMEOUT_SECONDS = 5.0


def place(url: str, secret: str, account: str, symbol: str, side: str) -> None:
    """Places one order; raises OSError (urllib's errors are OSErrors) when it is not accepted."""
    token = jwt.encode({"accountId": account, "exp": int(time.time()) + 300}, secret, algorithm="HS256")
    order = {"symbol": symbol, "side": side, "type": "LIMIT", "qty": 1, "price": 100, "timeInForce": "GTC"}
    request = urllib.request.Request(
        f"{url.rstrip('/')}/orders",
        json.dumps(order).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
        answer.read()


def main() -> None:
    url = env.text("GATEWAY_URL", "http://127.0.0.1:8081")
    secret = env.text("JWT_HS256_SECRET", "")
    account, symbol = env.text("MARKET_ACCOUNT_ID", "acct_market"), env.text("MARKET_SYMBOL", "XRP")
    interval = max(1, env.integer("MARKET_INTERVAL_SEC", 2))
    stopping = process.stop_requested()
    print(f"market: {account} trades {symbol} through {url} every {interval} s", flush=True)
    failed = False
    while not stopping.is_set():
        try:
            for side in ("BUY", "SELL"):
                place(url, secret, account, symbol, side)
            failed = False
        except OSError as error:
            if not failed:
                print(f"market: no order placed: {error}", flush=True)
            failed = True
        stopping.wait(interval)


if __name__ == "__main__":
    main()
