#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_info
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Is there a backup that is young, whole, of every database, and kept long enough
description:
  - Looks at the sets that M(sre.runbooks.pg_backup) made, and asks the databases in O(sources) whether the backup is theirs.
  - A set that is dated in the future fails RV(checks), and never counts as a young one.
  - Whether a backup can be restored is only shown by a restore (M(sre.runbooks.pg_restore)).
extends_documentation_fragment:
  - sre.runbooks.backup
  - sre.runbooks.postgresql
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  max_age_hours:
    description: How old the newest whole set may be.
    type: float
    required: true
  retention_days:
    description:
      - How long sets have to be kept. The oldest whole one has to be as old, up to one interval of O(max_age_hours).
      - Younger is V(unverified), because a folder does not tell when backups began.
      - If not set, this is not looked at.
    type: float
  databases:
    description: Names of databases that have to be in the newest set, besides those in O(sources).
    type: list
    elements: str
    default: []
  sources:
    description:
      - The databases that run, by their names in the set. Each is asked for its name and for the system identifier of its
        server, which have to be those of the backup, so that a set that two deployments share is noticed.
      - What an item does not say comes from the options of the same name beside it.
      - Without any, whose backup it is stays V(unverified).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the database in the set; each item needs one of its own.
        type: str
        required: true
      url:
        description:
          - Address in JDBC's form (C(jdbc:postgresql://host:port/database)) or libpq's. Give user and password beside it.
        type: str
      login_host:
        description: Host name or address of the server itself, not of a pooler, or the folder of its unix socket.
        type: str
      login_port:
        description: Port of the server.
        type: int
      login_db:
        description: Database to connect to.
        type: str
      login_user:
        description: User to connect as.
        type: str
      login_password:
        description: Password of the user.
        type: str
  verify:
    description: Whether the files of the newest set are read, and compared by sha256. Otherwise only sizes are compared.
    type: bool
    default: true
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 600.0
seealso:
  - module: sre.runbooks.pg_backup
  - module: sre.runbooks.pg_backup_prune
"""

EXAMPLES = r"""
- name: Is there a backup of the shop of the last day, and are they kept for more than two weeks
  sre.runbooks.pg_backup_info:
    set: ecommerce
    directory: /srv/backup
    max_age_hours: 26
    retention_days: 15
    sources:
      - name: customer
        url: jdbc:postgresql://db.example.com:5432/customer_db
        login_user: sre_runbooks
        login_password: "{{ sre_runbooks_password }}"
      - name: order
        url: jdbc:postgresql://db.example.com:5432/order_db
        login_user: sre_runbooks
        login_password: "{{ sre_runbooks_password }}"
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - C(backup_age), C(backup_whole), C(backup_databases), C(backup_source), C(backup_content), C(backup_clock) and
      C(backup_leftovers), and C(backup_retention) when O(retention_days) is given; each followed by a dot and the name of the set.
  type: list
  elements: dict
  returned: always
findings:
  description:
    - The causes V(no_backup), V(backup_broken), V(database_missing), V(backup_of_another_server), V(backup_empty) and
      V(clock_moved), with the checks that show them.
  type: list
  elements: dict
  returned: always
newest:
  description: The newest whole set that is not dated in the future, as in RV(sets). V(null) when there is none.
  type: dict
  returned: always
sets:
  description: The sets, the newest first, at most 1,000.
  type: list
  elements: dict
  returned: always
  sample:
    - id: ecommerce-20310402T080311Z
      folder: /srv/backup/ecommerce/ecommerce-20310402T080311Z
      started_at: "2031-04-02T08:03:11.500+00:00"
      finished_at: "2031-04-02T08:03:15.100+00:00"
      age_hours: 3.5
      bytes: 1160000
      databases: [customer, order]
      encrypted: true
      skew_ms: 3
      future: false
      verified: true
      problems: []
total:
  description: How many sets there are.
  type: int
  returned: always
  sample: 17
leftovers:
  description: Folders of runs that are under way or were killed, at most 1,000.
  type: list
  elements: str
  returned: always
  sample: []
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backup_info, operation

REQUIRES = ()  # psycopg2 only where databases are asked


def main() -> None:
    operation.main(backup_info.SPEC, backup_info.run, REQUIRES)


if __name__ == "__main__":
    main()
