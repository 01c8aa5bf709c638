#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_reconcile
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Lift numbers that a restore rewound above the highest that was given out
description:
  - A restore takes a table of numbers back to an earlier moment, while numbers that were given out since then stand in
    another database. The next number would be given out a second time.
  - Reads the highest number from every source first, and refuses when one cannot be read. Then lifts what is too low, never
    lowers anything, and reads it again.
  - M(sre.runbooks.pg_restore) does this itself while it exchanges databases, when nobody can take another number. This module is
    for databases that were restored by other means, before traffic is opened.
extends_documentation_fragment:
  - sre.runbooks.numbers
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would lift, without writing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(numbers) says what was lifted, from where to where.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
options:
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 120.0
seealso:
  - module: sre.runbooks.pg_restore
"""

EXAMPLES = r"""
- name: No order number is given out twice after the restore
  sre.runbooks.recovery_reconcile:
    login_host: db.example.com
    login_user: owner
    login_password: "{{ owner_password }}"
    databases:
      - {name: customer, login_db: customer_db}
      - {name: order, login_db: order_db}
    numbers:
      - name: order_number_sequence
        database: customer
        current: SELECT last_sequence FROM order_number_sequence WHERE sequence_date = current_date
        sources:
          - database: customer
            query: >-
              SELECT max(split_part(payload->>'orderNumber', '-', 3)::bigint) FROM order_created_outbox
              WHERE split_part(payload->>'orderNumber', '-', 2) = to_char(current_date, 'YYYYMMDD')
          - database: order
            query: >-
              SELECT max(split_part(order_number, '-', 3)::bigint) FROM orders
              WHERE split_part(order_number, '-', 2) = to_char(current_date, 'YYYYMMDD')
        statement: >-
          INSERT INTO order_number_sequence VALUES (current_date, %(value)s)
          ON CONFLICT (sequence_date) DO UPDATE SET last_sequence = excluded.last_sequence
          WHERE order_number_sequence.last_sequence < excluded.last_sequence
"""

RETURN = r"""
numbers:
  description:
    - For each number C(current), the C(needed) one (V(null) where none was given out), the C(action) V(lift) or V(none), and
      what it was C(after) it.
  type: list
  elements: dict
  returned: always
  sample:
    - {name: order_number_sequence, database: customer, current: 12, needed: 41, after: 41, action: lift}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, recovery_reconcile

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(recovery_reconcile.SPEC, recovery_reconcile.run, REQUIRES)


if __name__ == "__main__":
    main()
