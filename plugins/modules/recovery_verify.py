#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_verify
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Prove that restored databases hold what was backed up and serve the application
description:
  - Asks the application's queries of each restored database, then compares its content with the manifest of the backup.
    These are the rows and a digest of the values of every table, sequences, and Flyway's histories.
  - A restore that ended well proves little. An empty database, a dump of the wrong one, or a half of a pair do so too.
  - The sessions cannot write, and a query is one statement.
extends_documentation_fragment:
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  manifest_path:
    description:
      - The file C(manifest.json) of the backup that was restored, written by M(sre.runbooks.pg_backup).
      - The O(databases[].name) is that in the manifest.
    type: path
    required: true
  queries:
    description:
      - What the application must be able to answer from what was restored, at most 100 queries.
      - Without one nothing is proven, and the check C(application) is unverified.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the check, each its own.
        type: str
        required: true
      database:
        description: Name of the item of O(databases) that is asked.
        type: str
        required: true
      query:
        description: One statement. The first column of its first row counts; no row is a failure.
        type: str
        required: true
      expected:
        description: The value that must come back. Numbers are compared as numbers, everything else as text.
        type: raw
        default: true
      compare:
        description:
          - Compare with what O(queries[].other_query) gives instead of with O(queries[].expected), across databases.
          - V(equal) and V(at_most) compare the first values. V(contained_in) asks that every value of the first column is
            among those of the other, up to 10,000 of each. Limit the queries to a day or so where there are more.
        type: str
        choices: [equal, contained_in, at_most]
      other_database:
        description: Name of the item of O(databases) that O(queries[].other_query) is asked of.
        type: str
      other_query:
        description: One statement.
        type: str
  compare_content:
    description:
      - Compare the content with the manifest. Switch it off for a database that is written to again, which M(sre.runbooks.pg_restore)
        has compared before it took its place; then only the application's queries are asked.
    type: bool
    default: true
  runbook:
    description: Section of the runbook that asks for this; it stands in each check.
    type: str
    default: Recovery
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 3600.0
seealso:
  - module: sre.runbooks.pg_restore
  - module: sre.runbooks.recovery_objectives
"""

EXAMPLES = r"""
- name: Is what was restored the shop, and does it hold together
  sre.runbooks.recovery_verify:
    manifest_path: /srv/backups/ecommerce/ecommerce-20310402T030000Z/manifest.json
    login_host: scratch.example.com
    login_user: drill
    login_password: "{{ drill_password }}"
    databases:
      - {name: customer, login_db: drill_customer}
      - {name: order, login_db: drill_order}
    queries:
      - name: every paid order has a payment
        database: order
        query: >-
          SELECT NOT EXISTS (SELECT FROM orders o LEFT JOIN payment_transactions p ON p.order_id = o.id
          WHERE o.status = 'PAID' AND p.id IS NULL)
      - name: every order was checked out
        database: order
        query: SELECT order_number FROM orders
        compare: contained_in
        other_database: customer
        other_query: SELECT payload->>'orderNumber' FROM order_created_outbox
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - For each database C(restored.<name>), C(tables.<name>) with O(compare_content=true), and where the backup has such C(sequences.<name>) and
      C(flyway_history.<name>).
    - For each query C(application.<name>); C(application) when there is none.
  type: list
  elements: dict
  returned: always
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: always
verified_at:
  description:
    - When the last query of the application passed, UTC. The comparison of the content comes after it.
    - V(null) unless every check passed.
  type: str
  returned: always
  sample: "2031-04-02T08:04:31.207+00:00"
markers:
  description: The newest marker in each database that answered, with V(null) where there is none.
  type: list
  elements: dict
  returned: always
  sample:
    - {name: customer, id: 811, written_at: "2031-04-02T03:00:00.512345+00:00", source: pg_backup}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, recovery_verify

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(recovery_verify.SPEC, recovery_verify.run, REQUIRES)


if __name__ == "__main__":
    main()
