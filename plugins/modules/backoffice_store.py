#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_store
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Prove that a BackOffice runs on PostgreSQL and books there
description:
  - Looks at what is declared, at what the running process has and leaves behind, and at what stands in the database.
    Configuration alone proves nothing, because a store that books nothing is configured as well.
  - C(store.configured) follows the service's own rule, that any E(BACKOFFICE_DB_URL) that is not blank switches
    PostgreSQL on, whatever E(BACKOFFICE_DB_ENABLE) says, and that of its values only V(1) and V(true) are on.
  - C(store.in_use) is only green when the running service itself shows it, by its variables (O(service_pid)), by its
    log (O(log_paths)), or by its newest fill (O(last_fill_at)).
  - C(store.orders_without_fills) finds a store that takes orders and cannot book a fill.
  - The session in the database cannot write.
  - Run it on the machine of the service when O(service_pid), O(snapshot_path) or O(log_paths) are given.
extends_documentation_fragment:
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  database_url:
    description:
      - URL of the database, as the service has it (C(jdbc:postgresql://host:port/database)) or in libpq's form.
      - E(BACKOFFICE_DB_URL) in O(service_environment) or in the process wins over it.
      - If not set, the environment variable E(BACKOFFICE_DB_URL) is used.
    type: str
  login_user:
    description:
      - User to connect as, who may read the six tables.
      - If not set, the environment variable E(BACKOFFICE_DB_USER) is used, then the URL's user, then the service's.
    type: str
  login_password:
    description:
      - Password of O(login_user).
      - If not set, the environment variable E(BACKOFFICE_DB_PASSWORD) is used, then the URL's, then E(PGPASSFILE).
    type: str
  required:
    description:
      - Whether PostgreSQL is required, as it is in production.
      - Otherwise a service in memory passes, and that is said.
    type: bool
    default: true
  service_environment:
    description:
      - Variables of the service as far as they are known, without secrets.
    type: dict
    default: {}
  service_environment_source:
    description:
      - Whether O(service_environment) is what somebody declared, or was read from the running process, as
        M(sre.runbooks.service_control) does on the machine that runs it. Only the second shows what runs.
    type: str
    default: declared
    choices: [declared, process]
  service_pid:
    description:
      - Process id of the service. Its variables named C(BACKOFFICE_*) and C(KAFKA_*) are read, never passwords or
        secrets, and compared with O(service_environment). This needs its user's rights, or root's.
    type: int
  snapshot_path:
    description: Snapshot file of the service, which only a store in memory writes.
    type: path
  log_paths:
    description: Log files with the standard output of the service, absolute.
    type: list
    elements: path
    default: []
  expected_fills_at_least:
    description: How many fills must be booked, for example the number of fills in the ledger.
    type: int
  last_fill_at:
    description: ISO 8601 time of the newest fill that is known elsewhere, for example in the ledger.
    type: str
  last_event_at:
    description:
      - ISO 8601 time of the newest event that the service applied, C(lastEventAt) of its statistics.
      - An order without a fill is an event too, so that a difference is unverified and no failure.
    type: str
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 60.0
"""

EXAMPLES = r"""
- name: Which process it is
  sre.runbooks.service_control:
    manager: systemd
    services: [backoffice]
  register: service

- name: Does production run on PostgreSQL, and does it book there
  sre.runbooks.backoffice_store:
    database_url: jdbc:postgresql://db.example.com:5432/backoffice
    login_user: monitor
    login_password: "{{ backoffice_database_password }}"
    service_pid: "{{ service.services[0].pid | default(omit, true) }}"
    snapshot_path: /var/lib/backoffice/snapshot.json
    log_paths: [/var/log/backoffice/stdout.log]
    sslmode: verify-full

- name: A developer's BackOffice may be in memory
  sre.runbooks.backoffice_store:
    required: false
    service_environment:
      BACKOFFICE_DB_ENABLE: "0"
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - C(store.configured) always, C(store.environment), C(store.numbers), C(store.in_use) and C(store.snapshot) where
      there is something to look at.
    - C(store.reachable), C(store.schema), C(store.fills) and C(store.orders_without_fills) when PostgreSQL is on.
  type: list
  elements: dict
  returned: always
findings:
  description:
    - The causes V(in_memory_store), V(next_boot_fails), V(database_down), V(schema_missing), V(cannot_book_fills) and
      V(fills_missing), with the checks that show them.
  type: list
  elements: dict
  returned: always
mode:
  description: The store that the variables select.
  type: str
  returned: always
  choices: [postgresql, memory, unknown]
environment:
  description: The variables that were looked at, redacted, the database URL without login and parameters.
  type: dict
  returned: always
  sample:
    BACKOFFICE_DB_URL: jdbc:postgresql://db.example.com:5432/backoffice
environment_source:
  description: Whether they were read from the process or declared.
  type: str
  returned: always
  choices: [process, declared]
database:
  description: Where it was connected to; empty when it was not tried.
  type: dict
  returned: always
  sample:
    host: db.example.com
    port: "5432"
    name: backoffice
    user: monitor
    server_version: "18.6"
tables:
  description: Rows of the six tables; counting stops at a million, which RV(tables) marks with C(at_least).
  type: dict
  returned: always
  sample:
    fills: {rows: 24, at_least: false}
newest_fill_at:
  description: Time of the newest fill in the database.
  type: str
  returned: always
  sample: "2031-04-02T08:03:11.500Z"
migrations:
  description: Migrations that Flyway recorded, the newest first, at most 100.
  type: list
  elements: dict
  returned: always
  sample:
    - {version: "1", description: backoffice, success: true}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_store, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(backoffice_store.SPEC, backoffice_store.run, REQUIRES)


if __name__ == "__main__":
    main()
