#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flyway_status
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: State of Flyway's migrations, without Java and without touching anything
description:
  - Reads any number of Flyway's history tables and the migrations that belong to them, and says the state of each
    migration as C(flyway info) does, and what C(flyway validate) would say. Compared with Flyway 12.5.0 over a corpus of histories.
  - Needs no Java and no Flyway, connects read-only, takes no lock and runs no callback.
  - Is not green where Flyway is, when the locations are wrong. Flyway calls every row C(Future) then, and overlooks it.
  - Shows a baseline that let migrations pass by whose tables nobody made.
  - A history that could not be read for lack of a right is unverified, and the message names the GRANT. An absent table
    or schema fails, and histories elsewhere in the database are named.
  - C(JDBC) and C(CUSTOM) migrations are programs. Their rows are taken as they are, and their checksums are unverifiable.
  - A repeatable migration with a placeholder whose value is not known is indeterminate, unless the table has the checksum
    of its raw text. Versioned migrations do not depend on placeholders.
  - The table keeps times without a zone. They are taken as UTC.
  - Undo migrations of Flyway's paid editions are told by their rows. Types that are not known are listed, and fail, since
    Flyway itself stops at them.
extends_documentation_fragment:
  - sre.runbooks.flyway
  - sre.runbooks.postgresql
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  pending:
    description: Whether pending migrations are only said (V(allow)), or fail.
    type: str
    choices: [allow, fail]
    default: allow
  migrations:
    description:
      - Which migrations are returned. V(notable) leaves out those that were applied and are as they were.
    type: str
    choices: [all, notable, none]
    default: all
  max_lock_seconds:
    description: Longest time, in seconds, that a migration may hold its lock.
    type: float
    default: 600.0
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
notes:
  - |
    Check ids: C(flyway.<name>) (the table can be read), C(flyway.<name>.locations), C(flyway.<name>.lock) and, where the
    table could be read, C(flyway.<name>.validate), C(flyway.<name>.failed), C(flyway.<name>.changed),
    C(flyway.<name>.order), C(flyway.<name>.pending), C(flyway.<name>.baseline) (with migrations below a baseline) and
    C(flyway.<name>.unverifiable) (with Java migrations).
  - |
    Causes of findings: V(migration_changed_after_applied), V(migration_failed), V(migration_out_of_order),
    V(baseline_skipped_migrations), V(locations_wrong), V(duplicate_versions), V(migration_files_missing) (all seen),
    V(migration_blocks_itself) and V(migration_hangs) (inferred).
"""

EXAMPLES = r"""
- name: All services keep their history in a schema of their own
  sre.runbooks.flyway_status:
    login_host: db.example.org
    login_db: hafnium
    login_user: sre_runbooks
    login_password: "{{ db_password }}"
    histories:
      - name: identity
        schema: public
        jars: [/srv/identity/identity-service.jar]
        baseline_on_migrate: true
      - name: cases
        schema: cases
        locations: [filesystem:/srv/cases/db/migration]

- name: Before a release nothing may be pending
  sre.runbooks.flyway_status:
    pending: fail
    migrations: notable
    histories:
      - name: orders
        url: jdbc:postgresql://db.example.org:5432/order_db
        login_user: sre_runbooks
        login_password: "{{ db_password }}"
        locations: [filesystem:/srv/orders/sql]
        placeholders:
          region: eu
"""

RETURN = r"""
verdict:
  description: V(pass), V(fail) or V(unverified); the worst of the checks.
  returned: success
  type: str
  sample: pass
checks:
  description: One check for each question and history, with what was observed.
  returned: success
  type: list
  elements: dict
  sample:
    - id: flyway.cases.changed
      title: "cases: no migration was changed after it was applied"
      status: fail
      observed: ["/srv/cases/db/migration/V1__cases.sql: 1456022370 was applied, the file has -87230111 now"]
      expected: none
      hint: "Never change a migration that was applied: take the change back and put it into a new version."
      runbook: "3.1"
      duration_ms: null
findings:
  description: Causes behind the checks that fail.
  returned: success
  type: list
  elements: dict
  sample:
    - cause: migration_changed_after_applied
      confidence: seen
      evidence: [flyway.cases.changed]
      affects: [cases]
      next: null
histories:
  description: One entry for each history, in their order, with the field names of C(flyway info -outputType=json).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the history.
      type: str
      returned: always
      sample: cases
    operation:
      description: Always V(info).
      type: str
      returned: when the database answered
      sample: info
    schemaVersion:
      description: Newest version that was applied.
      type: str
      returned: when the database answered
      sample: "3.1"
    schemaName:
      description: Schema of the table.
      type: str
      returned: when the database answered
      sample: cases
    table:
      description: Name of the table.
      type: str
      returned: when the database answered
      sample: flyway_schema_history
    database:
      description: Name of the database.
      type: str
      returned: when the database answered
      sample: hafnium
    flywayVersion:
      description: Always null, since no Flyway was asked.
      type: str
      returned: when the database answered
      sample: null
    allSchemasEmpty:
      description: Whether nothing lies in the schema. Looked at where there is no table.
      type: bool
      returned: when the database answered
      sample: false
    warnings:
      description: Always empty.
      type: list
      elements: str
      returned: when the database answered
      sample: []
    exists:
      description: V(present), V(no_table), V(no_schema), V(denied), or V(unknown) when the database did not answer.
      type: str
      returned: always
      sample: present
    error:
      description: Why the database did not answer.
      type: str
      returned: when the database did not answer
      sample: "PostgreSQL at db:5432/hafnium: connection refused"
    migrations:
      description:
        - One entry for each migration in Flyway's order, with C(category), C(version), C(rawVersion), C(description),
          C(type), C(installedOnUTC), C(state), C(undoable), C(filepath), C(undoFilepath), C(installedBy),
          C(shouldExecuteExpression) and C(executionTime) as Flyway has them.
        - C(installed_rank), C(checksum) (of the row, or else of the file), C(resolved_checksum) (of the file) and
          C(checksum_status) (V(match), V(mismatch), V(indeterminate), V(unverifiable) or empty) are added.
      type: list
      elements: dict
      returned: always
      sample:
        - category: Versioned
          version: "1"
          rawVersion: "1"
          description: cases
          type: SQL
          installedOnUTC: "2026-01-02T03:04:05.123456Z"
          state: Success
          undoable: "No"
          filepath: /srv/cases/db/migration/V1__cases.sql
          undoFilepath: ""
          installedBy: hafnium
          shouldExecuteExpression: null
          executionTime: 12
          installed_rank: 1
          checksum: 1456022370
          resolved_checksum: 1456022370
          checksum_status: match
    validation_errors:
      description: What C(flyway validate) would name, with C(version), C(description), C(filepath), C(errorCode) and C(errorMessage).
      type: list
      elements: dict
      returned: when the database answered
      sample: []
    errors:
      description: Reasons for which Flyway itself would stop before doing anything, such as two files of one version.
      type: list
      elements: str
      returned: when the database answered
      sample: []
    locations:
      description: Folders that were C(searched), and C(problems) with others.
      type: dict
      returned: when the database answered
      sample: {searched: [/srv/cases/db/migration], problems: []}
    blocked_by:
      description: What keeps the next migrate from succeeding, each with C(version) (or description) and C(reason).
      type: list
      elements: dict
      returned: when the database answered
      sample:
        - version: "4"
          reason: "out of order: it came after 5 was applied, and out_of_order is off."
    lock:
      description:
        - C(held) (whether a migration is under way), C(holder_pid), C(age_seconds) (null without the right to see it),
          C(blocked_pids), C(application_name) and C(client_address).
      type: dict
      returned: when the database answered
      sample:
        held: false
        holder_pid: null
        age_seconds: null
        blocked_pids: []
        application_name: null
        client_address: null
"""

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_status, operation, postgres

REQUIRES = (postgres.LIBRARY,)


def main() -> None:
    operation.main(flyway_status.SPEC, flyway_status.run, REQUIRES)


if __name__ == "__main__":
    main()
