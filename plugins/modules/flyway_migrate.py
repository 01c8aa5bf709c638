#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: flyway_migrate
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Migrate or repair one history with the project's own Flyway, exactly as planned
description:
  - Says before what would be done, does it with the tool of the project (Flyway's command line, Maven, Gradle, or a program
    that migrates when it starts), and reads the history again. What the tool says of itself is not believed.
  - The plan is that of M(sre.runbooks.flyway_status), which needs no Java. When nothing is to be done the tool is not started.
  - Flyway's command line is asked for its info before it may act, and is refused when it sees something else than was planned.
    Afterwards the checksums of all rows are compared with the plan, whatever the tool was.
  - Refuses a standby, a user without the rights that the plan needs, and a history that is not there unless it is said.
  - Refuses while another migration holds the lock, when validation fails, when a location is wrong, and without a backup
    where O(require_backup) asks for one. Nothing was changed then.
  - V(repair) removes rows of failed migrations, marks migrations without a file as deleted and gives rows the checksums of
    their files. With locations that are not complete it would delete history, so that O(max_deleted) is 0 by default.
  - A failed migration is told by its script and its error, and whether PostgreSQL rolled it back (then there is no row) or
    it left a row with C(success=false).
  - The tool gets settings, user and password as C(FLYWAY_*) variables of its environment. Nothing secret stands in its
    arguments. C(clean) is switched off. Of the environment of the task it gets only what a Java tool needs.
extends_documentation_fragment:
  - sre.runbooks.flyway.history
  - sre.runbooks.postgresql
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the plan without acting on it.
    support: full
    details:
      - The tool is not started, except for V(info). What would be refused is refused.
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
    support: full
    details:
      - The rows of the history.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - The second run does not start the tool, unless a repeatable migration has placeholders that cannot be told from
        outside, see RV(plan.uncertain).
options:
  command:
    description:
      - What to do. V(info) asks the tool what it sees, changes nothing, also starts the tool in check mode, and with
        O(tool.kind=cli) says where the tool sees the history otherwise than M(sre.runbooks.flyway_status).
    type: str
    required: true
    choices: [info, migrate, repair]
  tool:
    description: The tool of the project.
    type: dict
    required: true
    suboptions:
      kind:
        description:
          - V(cli) is Flyway's command line, V(maven) runs C(mvn flyway:migrate), V(gradle) runs C(gradlew flywayMigrate).
          - V(command) is any program that migrates when it starts and then ends, such as a jar. It counts as done when the
            history says so. It cannot repair.
        type: str
        required: true
        choices: [cli, maven, gradle, command]
      executable:
        description:
          - The program. With a C(/) in it, it is a path, relative to O(tool.directory); else it is looked for in C(PATH).
          - By default V(flyway), V(mvn) and V(./gradlew). Needed for V(command).
        type: str
      directory:
        description: Folder in which it is started. Needed for V(maven) and V(gradle).
        type: path
      arguments:
        description:
          - Further arguments. One that holds a password is refused, as every user of the machine could see it, and one that
            sets what O(history) says, or has Flyway do something else.
        type: list
        elements: str
        default: []
      environment:
        description:
          - Further variables of its environment. C({url}), C({user}) and C({password}) stand for those of the history, for
            programs that call them otherwise, such as V(SPRING_DATASOURCE_PASSWORD).
          - Write no secret here. Variables that set what O(history) says are refused.
        type: dict
        default: {}
  require_backup:
    description: A backup that has to be there before anything is changed, see M(sre.runbooks.pg_backup).
    type: dict
    suboptions:
      directory:
        description: Folder of the backups.
        type: path
        required: true
      set:
        description: Name of the set.
        type: str
        required: true
      database:
        description: Name of the database in the set; by default that of the history.
        type: str
      max_age_hours:
        description: How old its data may be.
        type: float
        default: 24.0
      verify:
        description: Whether to read its files and compare their sha256.
        type: bool
        default: true
  expected_pending:
    description:
      - Versions, and descriptions of repeatable migrations, that are expected to be applied, in their order. Anything else
        is refused.
      - Not looked at when nothing is to be done.
    type: list
    elements: str
  plan_digest:
    description:
      - RV(plan_digest) of the plan that was looked at or approved. Another plan is refused.
      - Not looked at when nothing is to be done.
    type: str
  max_deleted:
    description: How many applied migrations without a file V(repair) may mark as deleted.
    type: int
    default: 0
  allow_new_history:
    description:
      - Make the history, and its schema, where there is none. Set it for the first migration of all only, as an absent
        history is more often a wrong schema, table or database.
    type: bool
    default: false
  allow_passed_over:
    description:
      - Make a baseline although tables are absent that migrations up to it would make. Flyway never runs those migrations.
    type: bool
    default: false
  allow_unverifiable:
    description:
      - Go on although there are Java migrations. Which there are, and whether they were changed, cannot be told from here.
      - With it, Java migrations that were not planned may be applied, and a V(repair) with a tool that does not hold them
        marks them as deleted.
    type: bool
    default: false
  timeout:
    description: Seconds for the whole task. When they are nearly used up, the tool is ended with all its processes.
    type: float
    default: 600.0
seealso:
  - module: sre.runbooks.flyway_status
  - module: sre.runbooks.approval
"""

EXAMPLES = r"""
- name: Migrate with Flyway's command line, after a backup
  sre.runbooks.flyway_migrate:
    history:
      name: case
      url: jdbc:postgresql://db.example.org:5432/hafnium
      login_user: hafnium
      login_password: "{{ hafnium_db_password }}"
      schema: cases
      locations: ["filesystem:/srv/case-service/db/migration"]
    command: migrate
    tool:
      kind: cli
      executable: /opt/flyway/flyway
    require_backup:
      directory: /srv/backups
      set: hafnium

- name: See what a repair would do
  sre.runbooks.flyway_migrate:
    history:
      name: identity
      login_host: db.example.org
      login_db: hafnium
      locations: ["filesystem:/srv/identity-service/src/main/resources/db/migration"]
    command: repair
    tool:
      kind: maven
      directory: /srv/identity-service
  check_mode: true
  register: repair_planned

- name: Let a service migrate its own database
  sre.runbooks.flyway_migrate:
    history:
      name: orders
      login_host: db.example.org
      login_db: order_db
      jars: [/srv/order-service/app.jar]
    command: migrate
    expected_pending: ["7", "8"]
    tool:
      kind: command
      executable: java
      arguments: [-jar, /srv/order-service/app.jar, --spring.main.web-application-type=none]
      environment:
        SPRING_DATASOURCE_URL: "{url}"
        SPRING_DATASOURCE_USERNAME: "{user}"
        SPRING_DATASOURCE_PASSWORD: "{password}"
"""

RETURN = r"""
command:
  description: What was to be done.
  type: str
  returned: success, and when the tool was run
  sample: migrate
name:
  description: Name of the history.
  type: str
  returned: success, and when the tool was run
  sample: case
plan:
  description: What was to be done.
  type: dict
  returned: success, when the tool was run, and when a guard refused it
  contains:
    command:
      description: V(migrate) or V(repair).
      type: str
    database:
      description: Name of the database.
      type: str
    schema:
      description: Schema of the history.
      type: str
    table:
      description: Table of the history.
      type: str
    creates:
      description: What is made first, of the schema, the history and a baseline.
      type: list
      elements: str
    passed_over:
      description: Migrations that a new baseline skips for good, each with its C(absent) tables.
      type: list
      elements: dict
    pending:
      description: Migrations to apply, in their order, each with C(version), C(description), C(type), C(script), C(checksum).
      type: list
      elements: dict
    uncertain:
      description: Repeatable migrations that may run as well. Their placeholders cannot be told from outside.
      type: list
      elements: dict
    repair:
      description:
        - What a repair does, rows C(removed) because they failed, rows marked as C(deleted) because their file is gone, and
          rows C(realigned) with their file, with what they hold C(before) and C(after).
      type: dict
      returned: with O(command=repair)
plan_summary:
  description: The plan in lines that people can read.
  type: list
  elements: str
  returned: success, when the tool was run, and when a guard refused it
  sample: ["cases.flyway_schema_history in hafnium: apply 4 add index: V4__add_index.sql (SQL, checksum 1250121)"]
plan_digest:
  description: What stands for the plan.
  type: str
  returned: success, when the tool was run, and when a guard refused it
  sample: "sha256:5f0c1b7e2d3a4956877869f0e1d2c3b4a5968778695a4b3c2d1e0f9a8b7c6d5e"
before:
  description: The history before, in few words that are others after any change.
  type: dict
  returned: success, when the tool was run, and when it was refused
  contains:
    exists:
      description: V(present), V(no_table), V(no_schema) or V(denied).
      type: str
    version:
      description: Highest version that was applied; V(null) when there is none.
      type: str
    rows:
      description: Number of rows.
      type: int
    last_rank:
      description: Rank of the last row; V(null) when there is none.
      type: int
    failed:
      description: Scripts whose rows say that they failed.
      type: list
      elements: str
    digest:
      description: What stands for all rows.
      type: str
after:
  description: The same afterwards; V(null) in check mode.
  type: dict
  returned: success, and when the tool was run
applied:
  description: What was applied, as the history says, each with C(version), C(script) and C(milliseconds).
  type: list
  elements: dict
  returned: success, and when the tool was run
repaired:
  description: What was repaired, as the history says, with the keys of RV(plan.repair); V(null) when nothing was.
  type: dict
  returned: success, and when the tool was run
backup:
  description: The backup that O(require_backup) found, with C(id), C(age_seconds) and C(verified); V(null) otherwise.
  type: dict
  returned: success, and when the tool was run
tool:
  description:
    - How the tool ended, with C(kind), C(exit_code), C(timed_out), C(seconds), C(error), C(warnings), C(flyway_version) and
      the last lines of its C(output); V(null) when it was not started.
  type: dict
  returned: success, and when the tool was run
lock:
  description: The lock of migrations after the run, with C(held), C(holder_pid), C(age_seconds) and C(blocked_pids).
  type: dict
  returned: success, and when the tool was run
still_running:
  description:
    - Sessions of a tool that was ended, whose statements run on in the server, each with C(pid), C(seconds) and
      C(blocked_pids).
  type: list
  elements: dict
  returned: success, and when the tool was run
refusal:
  description:
    - Why it was not started. V(standby), V(lock), V(validation), V(new_history), V(passed_over), V(locations),
      V(unverifiable), V(max_deleted), V(rights), V(expected_pending), V(plan_digest), V(backup) or V(tool_view).
  type: str
  returned: when it was refused
  sample: lock
refusals:
  description: All reasons, each with C(id) and C(reason).
  type: list
  elements: dict
  returned: when the history is in no state for it
differences:
  description:
    - Migrations that only O(expected_pending) names (C(-)) and that only are pending (C(+)); or what only was planned (C(-))
      and what only the tool sees (C(+)). V(null) where the tool's info cannot be compared.
  type: list
  elements: str
  returned: when they differ, and with O(command=info)
diff:
  description: Rows of the history before and after.
  type: dict
  returned: with --diff, when something is to be done
msg:
  description: What was done, as a sentence.
  type: str
  returned: always
  sample: "case: applied 4, 5"
"""

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_migrate, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(flyway_migrate.SPEC, flyway_migrate.run, REQUIRES)


if __name__ == "__main__":
    main()
