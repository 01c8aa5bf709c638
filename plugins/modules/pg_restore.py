#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Restore a backup set beside the databases, or into their place, and back again
description:
  - Restores sets that M(sre.runbooks.pg_backup) made. Before anything is touched, each file is compared by sha256, and its
    table of contents is read, with the key where it is encrypted.
  - A restored database is compared with the manifest (O(verify)), and is dropped when it does not hold the same.
  - To replace databases, they are restored beside first. Then all sessions of the old ones are ended and each pair of names
    is swapped, all of the set or none; the old ones stay as C(<database>_before_<id>), closed to connections. A database that is
    not there is made, with the others at the same moment. One that was closed to connections stays so.
  - From version 17 on C(pg_restore) cannot fill databases of servers of version 16 and older by itself. There it writes a script,
    which C(psql) of the same folder runs, and O(jobs) has no effect.
  - Every database that this module makes bears a comment that begins with C(sre.runbooks). A database without it is never
    dropped. Runs that were killed are recognised by it, and by a lock that ended with them; the next run cleans up.
  - RV(plan_digest) changes when the backup, the target or the state of the target changes, so that what was looked at in
    check mode can be approved and is done as it was (O(expected_plan)).
  - A backup holds an older moment of sequences as well. Numbers that were given out since would be given out again. O(numbers)
    says which they are; the highest of each is read when the old databases are closed and nobody is in them any more, and the
    number is lifted above it in the restored ones before anybody is let in.
  - Who is connected to a database that is to be exchanged is a reason to refuse, unless O(end_sessions) says otherwise. In
    check mode it is a warning only, so that the plan can be made and approved before traffic is closed.
  - On any failure within the exchange everything is put back, in time of its own, whatever O(timeout) is. Where even that
    fails, the message has the statements that are left to do.
extends_documentation_fragment:
  - sre.runbooks.numbers
  - sre.runbooks.backup
  - sre.runbooks.backup.programs
  - sre.runbooks.postgresql
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    details:
      - Returns the same plan, with the same digest. The backup is read to its end.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(plan) names each database.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
options:
  backup:
    description: Id of the backup, or V(newest), the newest whole one that is not dated in the future.
    type: str
    default: newest
  state:
    description:
      - V(scratch) makes databases for a drill, with the comment C(sre.runbooks drill <id> by <who> at <time>).
      - V(present) makes databases that are not there, to stay.
      - V(replaced) puts the restored databases into the place of those that are there, or of those that are lost.
      - V(undone) puts what V(replaced) replaced into its place again, and keeps the other as C(<database>_undone_<id>). A comment
        on the database tells that it was put back, so that its state is not the one again that a restore was approved for.
      - V(absent) drops what V(scratch) made, by O(drill_id), by O(databases[].into), or what both name.
    type: str
    default: scratch
    choices: [scratch, present, replaced, undone, absent]
  databases:
    description:
      - Databases of the set to restore. What an item does not say comes from the options of the same name beside it.
      - If not set, all databases of the set are restored to the server of the login options.
      - With O(state=replaced) and O(state=undone) all of the set are to be named, see O(allow_part).
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the database in the set.
        type: str
        required: true
      into:
        description:
          - Name of the database on the server. If not set, it is the name that was dumped; with O(state=scratch)
            C(<database>_drill_<id>).
        type: str
      url:
        description: Address in JDBC's form or libpq's. The name of the database in it does not matter.
        type: str
      login_host:
        description: Host name or address of the server, or the folder of its unix socket.
        type: str
      login_port:
        description: Port of the server.
        type: int
      login_db:
        description: Not used; O(maintenance_db) is connected to.
        type: str
      login_user:
        description: User to restore as, who may make databases.
        type: str
      login_password:
        description: Password of the user.
        type: str
  identity_file:
    description: File with the private key, of age or SSH without passphrase. Needed for encrypted dumps.
    type: path
  drill_id:
    description:
      - Part of the names of databases that are made beside others, 1 to 24 of a-z, 0-9 and C(_).
      - If not set, it is made of the time of the backup.
    type: str
  maintenance_db:
    description: Database to connect to while others are made and renamed.
    type: str
    default: postgres
  owners:
    description:
      - V(keep) gives objects to the roles that owned them, and refuses when the server lacks one.
      - V(none) gives all to the user that restores, and leaves out grants.
      - V(auto) is V(keep), but in O(state=scratch) V(none) where a role is missing.
    type: str
    default: auto
    choices: [auto, keep, none]
  verify:
    description: How the restored database is compared with the manifest, by digests of all values, by rows, or not at all.
    type: str
    default: full
    choices: [full, counts, none]
  keep_old:
    description: Whether the databases that are replaced are kept. Without them there is no way back.
    type: bool
    default: true
  allow_part:
    description: Whether some of the databases of a set may be exchanged without the others, which are then of another moment.
    type: bool
    default: false
  end_sessions:
    description:
      - Whether the sessions of others in databases that are exchanged are ended. If not, such a session is refused, before the
        backup is loaded and again when the databases are closed; then all is as it was.
    type: bool
    default: false
  jobs:
    description: How many connections C(pg_restore) uses for one database. Encrypted dumps are restored with one.
    type: int
    default: 1
  expected_plan:
    description: The RV(plan_digest) that was approved. Any other plan is refused.
    type: str
  server_free_bytes:
    description:
      - Room on the disk of the server. If not set, it is looked up where the server is on this machine and tells its
        folder; where it is not known nothing is refused for it.
    type: int
  stale_hours:
    description:
      - Drills of other ids, whoever made them, are removed by O(state=scratch) when they are older than this.
      - V(0) removes none. What stays is told in RV(leftovers).
    type: float
    default: 0.0
  busy_seconds:
    description:
      - With O(state=absent) and without O(drill_id), a drill whose databases were ready less than this ago may still be
        verified by its run, so that it is refused to drop them.
    type: float
    default: 0.0
  timeout:
    description:
      - Seconds that the whole task may take. Programs that still run then are ended.
      - Databases do not begin to change places when fewer than 60 are left.
    type: float
    default: 3600.0
seealso:
  - module: sre.runbooks.pg_backup
"""

EXAMPLES = r"""
- name: Restore the newest backup beside the databases
  sre.runbooks.pg_restore:
    set: ecommerce
    directory: /srv/backup
    identity_file: /etc/sre/backup.key
    login_host: db.example.com
    login_user: restorer
    login_password: "{{ restorer_password }}"
    state: scratch
    drill_id: april

- name: Drop them again
  sre.runbooks.pg_restore:
    set: ecommerce
    directory: /srv/backup
    login_host: db.example.com
    login_user: restorer
    login_password: "{{ restorer_password }}"
    state: absent
    drill_id: april

- name: Put a backup into the place of both databases, as it was planned in check mode
  sre.runbooks.pg_restore:
    set: ecommerce
    directory: /srv/backup
    backup: ecommerce-20310402T080311Z
    identity_file: /etc/sre/backup.key
    login_host: db.example.com
    login_user: restorer
    login_password: "{{ restorer_password }}"
    state: replaced
    expected_plan: "{{ planned.plan_digest }}"
"""

RETURN = r"""
plan:
  description: What is done, or in check mode what would be done, for each database with what is there now.
  type: dict
  returned: success
  sample:
    state: replaced
    set: ecommerce
    backup: ecommerce-20310402T080311Z
    backup_started_at: "2031-04-02T08:03:11.500+00:00"
    drill_id: 20310402t080311z
    databases:
      - name: customer
        source: customer_db
        file: customer.dump.age
        bytes: 1160000
        sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        snapshot_at: "2031-04-02T08:03:11.612000+00:00"
        host: db.example.com
        port: 5432
        system_identifier: "7423423423423423423"
        source_system_identifier: "7423423423423423423"
        backup_of: this server
        server_version: "18.6"
        database: customer_db
        before: customer_db_before_20310402t080311z
        action: replace
        existing: {database: customer_db, oid: 16400, owner: customer_user, connections_allowed: true, comment: null}
        unfinished: []
        owners: keep
        missing_roles: []
    keep_old: true
    verify: full
    unfinished_swap: false
    remove: []
    end_sessions: false
    numbers:
      - name: order_number_sequence
        database: customer
        current: SELECT last_sequence FROM order_number_sequence WHERE sequence_date = current_date
        sources:
          - {database: order, query: SELECT max(number) FROM orders}
        statement: UPDATE order_number_sequence SET last_sequence = %(value)s WHERE sequence_date = current_date
        max_lift: 100000
        at_least: null
        highest_before: known
plan_digest:
  description: sha256 of RV(plan) as canonical JSON.
  type: str
  returned: success
  sample: 2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
observed:
  description: What changes from one moment to the next and is no part of the plan. Empty with O(state=absent).
  type: dict
  returned: success
  sample:
    databases:
      - {database: customer_db, size_bytes: 8200000, sessions: 12, needed_bytes: 8200000}
    server_free_bytes: null
restored:
  description: One row for each database that was made or swapped; none in check mode.
  type: list
  elements: dict
  returned: success
  sample:
    - name: customer
      database: customer_db
      kept_as: customer_db_before_20310402t080311z
      oid: 16512
      host: db.example.com
      port: 5432
      started_at: "2031-04-02T09:10:00.000+00:00"
      seconds: 3.2
      restore_seconds: 2.9
      tables: 8
      rows: 5120
      verified: full
sessions_ended:
  description: How many sessions of the replaced databases were ended.
  type: int
  returned: success
  sample: 12
numbers:
  description:
    - What became of each number of O(numbers); none in check mode. C(before) is the highest number that was given out as far as the
      databases tell that were exchanged, C(not_read) has those that could not be asked, and why.
    - C(current) is the number that was restored, C(needed) what it must be at least, and C(after) what it was lifted to.
  type: list
  elements: dict
  returned: success
  sample:
    - name: order_number_sequence
      database: customer
      current: 12
      needed: 41
      after: 41
      action: lift
      before: 41
      not_read: []
verdict:
  description: The worst of RV(checks).
  type: str
  returned: with O(state=replaced) and O(state=undone), not in check mode
  sample: pass
checks:
  description:
    - For each database C(replaced.<name>) or C(undone.<name>), whether it is in its place.
    - For each number C(numbers.<name>), unverified where the highest that was given out is not known.
  type: list
  elements: dict
  returned: with O(state=replaced) and O(state=undone), not in check mode
  sample:
    - id: numbers.order_number_sequence
      title: No order_number_sequence is given out twice
      status: pass
      observed: "lifted from 12 to 41; highest number before: known"
      expected: at least the highest number that was given out before
      hint: ""
      runbook: ""
      duration_ms: null
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: with O(state=replaced) and O(state=undone), not in check mode
  sample: []
settled:
  description: What was put back of a swap that was killed.
  type: list
  elements: str
  returned: success
  sample: []
removed:
  description: Databases of killed runs or of drills that were dropped.
  type: list
  elements: str
  returned: success
  sample: []
leftovers:
  description: Databases of other drills and restores that are there and were left.
  type: list
  elements: dict
  returned: success
  sample:
    - database: order_db_drill_march
      comment: >-
        sre.runbooks drill march by ops@host at 2031-04-02T07:00:00.000+00:00: ready ecommerce-20310401T080311Z
      age_seconds: 7800
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backup_restore, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(backup_restore.SPEC, backup_restore.run, REQUIRES)


if __name__ == "__main__":
    main()
