#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_e2e
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Place an order and follow it into the books of a BackOffice
description:
  - Looks whether an order can arrive at all (gateway, its publisher, BackOffice), places one order, follows its own id
    into the ledger until it is wholly booked, and compares position, balance and reconciliation with the state before.
  - This changes the system. The order stands until its opposite is placed; see O(flatten).
  - Nothing is placed when one of the checks before it does not pass, such as a publisher that is off.
  - Other orders of the account do no harm; they are taken into account by their own fills. An account of its own is
    still the better choice.
extends_documentation_fragment:
  - sre.runbooks.backoffice_api
  - sre.runbooks.http_client
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would return without it.
    support: full
    details:
      - Everything before the order is looked at, RV(plan) is returned, and nothing is placed.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: partial
    details:
      - With the same O(run_id) and the same order the gateway gives the first order back, as long as it was not
        restarted in between, and nothing is placed again. Without O(run_id) every run places an order.
options:
  gateway_url:
    description:
      - Base URL of the gateway.
      - The environment variable E(GATEWAY_URL) is used when this is not set.
    type: str
    required: true
  backoffice_url:
    description:
      - Base URL of the BackOffice.
      - The environment variable E(BACKOFFICE_URL) is used when this is not set.
    type: str
    required: true
  symbol:
    description: What is bought or sold.
    type: str
    default: BTC
  side:
    description: Whether it is bought or sold.
    type: str
    default: BUY
    choices: [BUY, SELL]
  order_type:
    description: Kind of the order.
    type: str
    default: LIMIT
    choices: [LIMIT, MARKET]
  quantity:
    description: How much; at most O(max_quantity).
    type: int
    default: 1
  price:
    description: Price of a limit order, in the quote currency.
    type: int
    default: 100
  quote_currency:
    description: Currency whose balance the order moves (C(BACKOFFICE_QUOTE_CCY) of the server).
    type: str
    default: JPY
  fee_bps:
    description: Fee of the server in basis points (C(BACKOFFICE_FEE_BPS)), with which the fills are checked.
    type: int
    default: 10
  flatten:
    description: Whether the opposite order is placed after the first one was booked, and the position checked again.
    type: bool
    default: false
  wait_seconds:
    description: Most seconds to wait until an order is booked. O(timeout) bounds the whole task.
    type: float
    default: 30.0
  run_id:
    description:
      - A name for this run, such as the number of the job. A second run of the same name does not place the same order
        again.
    type: str
  max_quantity:
    description: Guard against a slip of the finger; at most 1000.
    type: int
    default: 10
requirements:
  - prometheus_client >= 0.20
"""

EXAMPLES = r"""
- name: An order arrives in the books, and is taken back
  sre.runbooks.backoffice_e2e:
    gateway_url: http://localhost:8081
    backoffice_url: http://localhost:8082
    account_id: acct_e2e
    jwt_secret: "{{ backoffice_jwt_secret }}"
    flatten: true
    run_id: "{{ awx_job_id | default(omit) }}"
  register: e2e
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: pass
checks:
  description:
    - Before the order C(gateway.health), C(gateway.publisher), C(gateway.queue), C(backoffice.health),
      C(backoffice.stats), C(before).
    - Then C(order), C(booked), C(position), C(balance), C(reconcile.balances), C(reconcile.positions), and with
      O(flatten) C(flatten.order), C(flatten.booked), C(flat). A step that leaves nothing
      for the next one to do is the last.
  type: list
  elements: dict
  returned: always
  sample:
    - id: booked
      title: Order is booked
      status: pass
      observed: 1 in 1 fills after 122 ms
      expected: 1 filled
      hint: Time from the gateway's answer to the ledger, as seen by asking.
      runbook: "3"
      duration_ms: null
findings:
  description:
    - Why an order did not arrive. The cause is one of publisher_off, order_rejected, order_refused, token_refused,
      gateway_overloaded, placement_unknown, rejected_by_exchange, not_filled, broker_unreachable_from_gateway,
      not_arrived, partly_arrived, position_left_open.
  type: list
  elements: dict
  returned: always
plan:
  description: The orders that are to be placed.
  type: list
  elements: dict
  returned: always
  sample:
    - role: order
      account_id: acct_e2e
      symbol: BTC
      side: BUY
      order_type: LIMIT
      quantity: 1
      price: 100
      idempotency_key: 41cbbd0c52ee4bb7a34a9b5a1fdd7dd6
run_id:
  description: The name of this run; give it again to find the same order.
  type: str
  returned: always
orders:
  description:
    - The orders that the gateway took, with C(role), C(order_id), C(side), C(quantity), C(filled) in BackOffice,
      C(accepted_ms) (its answer), C(booked_ms) (from its answer to the ledger, V(null) when that was not seen), and
      C(known_before) (an earlier run had placed it).
  type: list
  elements: dict
  returned: always
before:
  description: Position and balance before the order, V(null) when they could not be read.
  type: dict
  returned: always
  sample: {symbol: BTC, position: 0, currency: JPY, balance: -20}
after:
  description: The same when the run ended, V(null) when the order was not booked.
  type: dict
  returned: always
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_e2e, operation

REQUIRES = ("urllib3", "PyJWT", "prometheus-client")


def main() -> None:
    operation.main(backoffice_e2e.SPEC, backoffice_e2e.run, REQUIRES)


if __name__ == "__main__":
    main()
