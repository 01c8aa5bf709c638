#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecommerce_store
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Check the outbox of the e-commerce platform and its answers for repeated checkouts
description:
  - Looks at the tables of the platform's two databases, since no metric tells of them.
  - The usual alert on outbox rows that wait goes green by itself when they turn C(FAILED), and rows that were published
    look fine although their order was lost. So C(outbox.pending), C(outbox.age) and C(outbox.failed) count rows by what
    became of them, C(outbox.booked) looks for the order of each published event in the database of orders, and
    C(outbox.numbers) finds order numbers that were given out twice.
  - C(idempotency.entries) shows the last ten answers that are kept for a repeated checkout, without keys and answers, and
    C(idempotency.expired) those that expired and were not pruned. Using such a key again places an order again.
  - C(sessions.<name>) tells lost connections from transactions that were rolled back, by two samples of
    C(pg_stat_database). It needs PostgreSQL 14 or later, else it is unverified.
  - Where a table is missing its checks fail; where a right is lacking they are unverified. The session cannot write.
extends_documentation_fragment:
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  parts:
    description: What is looked at. V(sessions) takes O(sample_seconds).
    type: list
    elements: str
    choices: [outbox, idempotency, sessions]
    default: [outbox, idempotency]
  time_zone:
    description:
      - Zone that the services write times in, which have none in the tables. That of their JVM, V(UTC) or a name such as
        V(Europe/Berlin).
      - A row of the future shows that it is another one. Then what depends on ages is unverified.
    type: str
    default: UTC
  max_pending:
    description: Most outbox rows that may wait. V(0) is not checked.
    type: int
    default: 20
  max_pending_age_seconds:
    description: How long an outbox row may wait; the publisher looks every 5 seconds. V(0) is not checked.
    type: float
    default: 60.0
  settle_seconds:
    description: Events that were published longer ago than this need an order.
    type: float
    default: 60.0
  window_seconds:
    description: Outbox rows that were written or published within this time are compared with the orders.
    type: float
    default: 86400.0
  max_rows:
    description:
      - Most of them, the newest first, from 1 to 9000. When there are more, C(outbox.booked) and C(outbox.numbers) are
        unverified unless they fail.
    type: int
    default: 5000
  expired_seconds:
    description:
      - Answers that expired longer ago than this fail C(idempotency.expired). Give it what
        M(sre.runbooks.ecommerce_idempotency_prune) leaves.
    type: float
    default: 43200.0
  sample_seconds:
    description: Time between the two samples of C(sessions.<name>), less than O(timeout).
    type: float
    default: 10.0
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
notes:
  - The items of O(databases) are called V(customer_db) and V(order_db); they are the shop's own database, and that of the
    order service. Without the second, C(outbox.booked) is unverified.
  - The user needs C(SELECT) on C(order_created_outbox) and C(orders), and on the columns of C(checkout_idempotency) other
    than its answers; C(docs/grants.sql) has the rights.
seealso:
  - module: sre.runbooks.ecommerce_idempotency_prune
  - module: sre.runbooks.pg_activity
"""

EXAMPLES = r"""
- name: Does anything wait, was anything given up, was any order lost, are expired answers pruned
  sre.runbooks.ecommerce_store:
    databases:
      - name: customer_db
        url: jdbc:postgresql://customer-db.example.com:5432/customer_db
      - name: order_db
        url: jdbc:postgresql://order-db.example.com:5432/order_db
    login_user: sre_runbooks
    login_password: "{{ shop_db_password }}"

- name: The outbox of a shop whose services run in Berlin's time, over the last three days
  sre.runbooks.ecommerce_store:
    databases: "{{ shop_databases }}"
    parts: [outbox]
    time_zone: Europe/Berlin
    window_seconds: 259200

- name: Are connections lost, or are transactions turned back
  sre.runbooks.ecommerce_store:
    databases: "{{ shop_databases }}"
    parts: [sessions]
    sample_seconds: 30
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - C(database.<name>) of each database whose tables were looked at, C(outbox.pending), C(outbox.age), C(outbox.failed),
      C(outbox.booked), C(outbox.numbers), C(idempotency.entries), C(idempotency.expired), C(sessions.<name>).
  type: list
  elements: dict
  returned: always
findings:
  description:
    - The causes V(database_unreachable), V(publisher_stopped), V(sending_fails), V(outbox_failed), V(orders_lost),
      V(order_numbers_twice), V(idempotency_not_pruned) and V(connections_lost), with the checks that show them.
  type: list
  elements: dict
  returned: always
outbox:
  description: What was seen of the outbox; null for what could not be read.
  type: dict
  returned: with V(outbox) in O(parts), when customer_db let us in
  contains:
    pending:
      description: Rows that wait; counting stops at 100000.
      type: int
    failed:
      description: Rows that were given up; counting stops at 100000.
      type: int
    oldest_pending_seconds:
      description: Age of the oldest row that waits.
      type: float
    retry_count:
      description: Most tries among the 100 oldest rows that wait.
      type: int
    looked_for:
      description: Published events whose orders were looked for.
      type: int
    missing_orders:
      description: Order numbers that were not found, the newest first, at most 100.
      type: list
      elements: str
    numbers_twice:
      description: Order numbers in several rows, at most 100.
      type: list
      elements: str
    failed_events:
      description:
        - The newest 20 rows that were given up, with C(id), C(order_number), C(age_seconds), C(retry_count) and
          C(error_message).
      type: list
      elements: dict
  sample: {pending: 0, failed: 0, oldest_pending_seconds: null, retry_count: 0, looked_for: 40, missing_orders: [],
    numbers_twice: [], failed_events: []}
idempotency:
  description: What was seen of the answers for repeated checkouts; null for what could not be read.
  type: dict
  returned: with V(idempotency) in O(parts), when customer_db let us in
  contains:
    entries:
      description:
        - The last ten, with C(key_sha256) (the first 16 digits of the key's SHA-256), C(response_status), C(created_at),
          C(expires_at) and C(expired).
      type: list
      elements: dict
    expired:
      description: Answers that expired; counting stops at 100000.
      type: int
    overdue:
      description: Those that expired longer ago than O(expired_seconds).
      type: int
    oldest_expired_seconds:
      description: How long ago the oldest expired.
      type: float
  sample: {entries: [{key_sha256: 2c26b46b68ffc68f, response_status: 201, created_at: "2031-04-02T08:00:00Z",
    expires_at: "2031-04-03T08:00:00Z", expired: false}], expired: 0, overdue: 0, oldest_expired_seconds: 0.0}
sessions:
  description: What each database counted between the samples, by the names of C(pg_stat_database), with C(seconds).
  type: list
  elements: dict
  returned: with V(sessions) in O(parts)
  sample:
    - {name: customer_db, seconds: 10.0, sessions_abandoned: 0, sessions_fatal: 0, sessions_killed: 0, xact_commit: 210,
       xact_rollback: 4, deadlocks: 0}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import ecommerce_store, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(ecommerce_store.SPEC, ecommerce_store.run, REQUIRES)


if __name__ == "__main__":
    main()
