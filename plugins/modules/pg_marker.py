#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_marker
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Write a row that later tells how much a restore lost
description:
  - Writes one row with the server's time into the table C(sre_runbooks.recovery_marker) of each database. Schema and table
    are made when they are missing, and the newest 1,000 rows are kept.
  - The newest marker in a restored database, against the newest one written before the fault, is what was lost
    (M(sre.runbooks.recovery_objectives)). The age of a dump does not tell it.
  - Run it on a schedule, as a heartbeat. What a restore can tell is no finer than its interval.
  - Needs the right CREATE on the database once, then USAGE on the schema and SELECT, INSERT and DELETE on the table. Where
    one is lacking the message names the GRANT.
extends_documentation_fragment:
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do, without writing anything.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(markers) says what was written.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: none
    details:
      - Each run writes a row of its own, that is its purpose.
options:
  state:
    description: V(present) writes a marker.
    type: str
    default: present
    choices: [present]
  source:
    description: What writes the marker, 1 to 200 characters; it stands in the row.
    type: str
    default: sre.runbooks.pg_marker
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 60.0
seealso:
  - module: sre.runbooks.recovery_objectives
  - module: sre.runbooks.recovery_verify
"""

EXAMPLES = r"""
- name: A heartbeat in both databases of the shop, every minute by the scheduler
  sre.runbooks.pg_marker:
    source: heartbeat
    databases:
      - name: customer
        url: jdbc:postgresql://db.example.com:5432/customer_db
        login_user: marker
        login_password: "{{ marker_password }}"
      - name: order
        url: jdbc:postgresql://db.example.com:5432/order_db
        login_user: marker
        login_password: "{{ marker_password }}"
"""

RETURN = r"""
markers:
  description:
    - The marker of each database, in their order. C(written_at) is the server's time in UTC.
    - In check mode the newest one that is there, with V(null) where there is none.
  type: list
  elements: dict
  returned: always
  sample:
    - {name: customer, id: 812, written_at: "2031-04-02T08:03:11.512345+00:00", source: heartbeat}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, pg_marker

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(pg_marker.SPEC, pg_marker.run, REQUIRES)


if __name__ == "__main__":
    main()
