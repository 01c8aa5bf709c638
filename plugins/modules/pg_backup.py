#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Back up databases of PostgreSQL that belong together, as one set
description:
  - Dumps every database of the set with C(pg_dump) in its custom format, from snapshots that are taken at the same moment,
    as far as two databases allow it. RV(backup.skew_ms) says how far apart they may be.
  - What each table holds, its rows and a digest, is read in the same snapshot and stands in the manifest, so that a
    restore can be compared with it.
  - A set appears whole or not at all. What a killed run left behind is removed by the next one when its owner is provably
    dead, and is named otherwise. A run of another machine or pod counts as dead an hour after its O(timeout).
  - Each dump is read back after it was written. Its table of contents is read as well, unless it is encrypted and
    O(identity_file) is not given.
  - Encrypted dumps are never on the disk in plain form. The manifest is not encrypted; it holds names of tables, numbers
    of rows and digests, no values.
  - Roles and tablespaces are not part of a dump.
extends_documentation_fragment:
  - sre.runbooks.backup
  - sre.runbooks.backup.programs
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    details:
      - Returns the plan with sizes and free space. Neither the disk nor a database is written.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(backup) says what was made.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: partial
    details:
      - Each run makes a new set, unless O(max_age_hours) lets a young one count.
options:
  recipients:
    description:
      - Public keys that the dumps are encrypted to, of age (C(age1...)) or SSH (C(ssh-ed25519), C(ssh-rsa)); at most 20.
      - Without any the dumps are plain.
    type: list
    elements: str
    default: []
  identity_file:
    description:
      - File with a private key that belongs to one of O(recipients). Only used for reading the table of contents of the
        new dump; a machine that makes backups need not have it.
    type: path
  marker:
    description:
      - Whether a marker (M(sre.runbooks.pg_marker)) is written to each database just before its snapshot, so that a restore
        can tell how much was lost.
    type: bool
    default: true
  fingerprint:
    description: Whether digests of all values are kept beside the number of rows, or V(counts) only. Both read every table.
    type: str
    default: full
    choices: [full, counts]
  allow_empty:
    description: Whether a database may have no table though it had some in the newest whole set.
    type: bool
    default: false
  allow_other_source:
    description:
      - Whether a database may come from another server, or have another name there, than in the newest whole set.
      - Refused by default, because two deployments that share a set restore and prune each other's backups. A server that was
        rebuilt, upgraded or moved has a new system identifier; then set this for one run.
    type: bool
    default: false
  max_age_hours:
    description: A whole set that is younger and holds all databases is enough, and no new one is made. V(0) makes one always.
    type: float
    default: 0.0
  estimated_bytes:
    description:
      - Size that all dumps together are expected to have, where the estimate of the plan is known to be wrong.
      - The estimate is made of the newest whole set. Without one it is the size of the databases, of which a compressed dump
        is often a small part.
    type: int
  min_free_bytes:
    description: Room that has to stay free on the disk after the backup.
    type: int
    default: 268435456
  min_free_percent:
    description: The same as a part of the disk; the larger one counts.
    type: float
    default: 0.0
  compression:
    description: What C(pg_dump --compress) takes, such as V(zstd:3) or V(6). If not set, C(pg_dump) decides.
    type: str
  lock_wait_seconds:
    description: How long C(pg_dump) waits for a table that another session has locked, before the backup fails.
    type: float
    default: 60.0
  timeout:
    description: Seconds that the whole task may take. Programs that still run then are ended.
    type: float
    default: 3600.0
seealso:
  - module: sre.runbooks.pg_backup_info
  - module: sre.runbooks.pg_backup_prune
  - module: sre.runbooks.pg_restore
"""

EXAMPLES = r"""
- name: Both databases of the shop, as one set, encrypted
  sre.runbooks.pg_backup:
    set: ecommerce
    directory: /srv/backup
    recipients: [age1v6q83hpkxth93fn6a6k33ywcqp05vc0696daq3y86dwhqjgas3msweg9xg]
    databases:
      - name: customer
        url: jdbc:postgresql://db.example.com:5432/customer_db
        login_user: customer_user
        login_password: "{{ customer_db_password }}"
      - name: order
        url: jdbc:postgresql://db.example.com:5432/order_db
        login_user: order_user
        login_password: "{{ order_db_password }}"

- name: One database, unless there is a backup of the last hour
  sre.runbooks.pg_backup:
    set: backoffice
    directory: /srv/backup
    login_host: db.example.com
    login_db: backoffice
    login_user: backoffice
    login_password: "{{ backoffice_db_password }}"
    max_age_hours: 1
"""

RETURN = r"""
plan:
  description: What is backed up and the room that it needs.
  type: dict
  returned: success
  sample:
    set: ecommerce
    folder: /srv/backup/ecommerce
    databases:
      - name: customer
        dbname: customer_db
        server_version: "18.6"
        system_identifier: "7423423423423423423"
        database_bytes: 8200000
        estimated_bytes: 1400000
        previous_bytes: 1160000
    encrypted: true
    recipients: [age1v6q83hpkxth93fn6a6k33ywcqp05vc0696daq3y86dwhqjgas3msweg9xg]
    marker: true
    fingerprint: full
    free_bytes: 75000000000
    needed_bytes: 270000000
backup:
  description: The set that was made, or the young one that was enough. V(null) in check mode otherwise.
  type: dict
  returned: success
  contains:
    id:
      description: Its id, which O(sre.runbooks.pg_restore#module:backup) takes.
      type: str
      sample: ecommerce-20310402T080311Z
    folder:
      description: Its folder.
      type: str
      sample: /srv/backup/ecommerce/ecommerce-20310402T080311Z
    started_at:
      description: When it was begun. The data is not older.
      type: str
      sample: "2031-04-02T08:03:11.500+00:00"
    finished_at:
      description: When the last dump was whole.
      type: str
      sample: "2031-04-02T08:03:15.100+00:00"
    skew_ms:
      description: The most milliseconds that may lie between the snapshots of two databases.
      type: int
      sample: 3
    bytes:
      description: Size of all dumps.
      type: int
      sample: 1160000
    databases:
      description: One row for each database.
      type: list
      elements: dict
      sample:
        - name: customer
          file: customer.dump.age
          bytes: 1160000
          sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
          encrypted: true
          snapshot_at: "2031-04-02T08:03:11.612000+00:00"
          marker: {id: 42, written_at: "2031-04-02T08:03:11.580000+00:00", source: backup ecommerce-20310402T080311Z}
          tables: 9
          rows: 5120
removed_leftovers:
  description: Folders of killed runs that were removed, or in check mode would be.
  type: list
  elements: str
  returned: success
  sample: [.partial-ecommerce-20310401T080311Z]
kept_leftovers:
  description: Folders of killed runs that were left, each with the reason.
  type: list
  elements: dict
  returned: success
  sample: []
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backup_run, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(backup_run.SPEC, backup_run.run, REQUIRES)


if __name__ == "__main__":
    main()
