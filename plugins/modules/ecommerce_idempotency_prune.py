#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ecommerce_idempotency_prune
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Prune the e-commerce platform's answers for repeated checkouts that expired
description:
  - Deletes rows of C(checkout_idempotency) that expired. Nothing in the platform does so, and a client that uses such a key
    again places an order again, is told 500, and places another at each further try.
  - A copy of each row is on the disk before it is deleted, in a file that only its owner can read. What cannot be copied is
    not deleted.
  - Deletes exactly the rows that it read, by key, expiry and version. A row that was renewed meanwhile stays, and so does
    one that a checkout holds at that moment.
  - Rows are deleted in batches, each a transaction of its own, and the server is asked what became of each.
extends_documentation_fragment:
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do without doing it.
    support: full
    details:
      - Returns the same plan. The session cannot write, and no copy is made. What would be refused is refused.
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
    support: full
    details:
      - The rows of the plan, the first 1000, without keys and answers.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - What O(max_rows) withheld in the first run is deleted by the next.
options:
  audit_directory:
    description:
      - Folder for the copy, on the machine that the module runs on. It must exist.
      - The file is in JSON lines. The first says where the rows come from, each further one is a row with all its columns.
    type: path
    required: true
  audit_responses:
    description:
      - Whether the copy holds the answers too. They say what customers were told, and may hold personal data. Keep the file
        no longer than your rules for those allow.
    type: bool
    default: true
  grace_seconds:
    description:
      - Only rows that expired longer ago than this are deleted.
      - The default is as far as a zone can be behind UTC, so that no valid answer is deleted where O(time_zone) is wrong.
        With less, O(time_zone) has to be set.
    type: float
    default: 43200.0
  time_zone:
    description:
      - Zone that the services write times in, which have none in the table. That of their JVM, V(UTC) or a name such as
        V(Europe/Berlin).
      - If not set, it is taken for UTC.
      - A row of the future shows that it is another one; then nothing is deleted.
    type: str
  max_rows:
    description: Most rows that one task deletes, from 1 to 9000; those that expired first.
    type: int
    default: 5000
  beyond_limits:
    description:
      - What happens when more rows than O(max_rows) expired. With V(refuse), nothing is deleted. With V(withhold), as many
        as are allowed.
    type: str
    choices: [withhold, refuse]
    default: refuse
  batch_rows:
    description: Rows that are deleted by one statement, and are locked meanwhile; from 1 to 9000.
    type: int
    default: 500
  lock_timeout_ms:
    description: Longest wait for a lock of the table, in milliseconds; rows that are locked are not waited for.
    type: int
    default: 1000
  timeout:
    description: Seconds for the whole task. A batch that has begun is ended.
    type: float
    default: 60.0
notes:
  - O(databases) has one item, the shop's own database, or is left out.
  - The user needs C(SELECT), C(UPDATE) and C(DELETE) on the table, as its owner has. C(UPDATE) is for holding a row.
  - On failure after the plan the result holds the same as on success, beside the message.
seealso:
  - module: sre.runbooks.ecommerce_store
"""

EXAMPLES = r"""
- name: What would be pruned
  sre.runbooks.ecommerce_idempotency_prune:
    login_host: customer-db.example.com
    login_db: customer_db
    login_user: customer_user
    login_password: "{{ customer_db_password }}"
    audit_directory: /srv/audit
  check_mode: true

- name: Prune what expired more than an hour ago, without copies of what customers were told
  sre.runbooks.ecommerce_idempotency_prune:
    login_host: customer-db.example.com
    login_db: customer_db
    login_user: customer_user
    login_password: "{{ customer_db_password }}"
    audit_directory: /srv/audit
    audit_responses: false
    grace_seconds: 3600
    time_zone: Europe/Berlin

- name: The first time, when a year's answers lie there, 5000 in each run
  sre.runbooks.ecommerce_idempotency_prune:
    databases:
      - name: customer_db
        url: jdbc:postgresql://customer-db.example.com:5432/customer_db
    login_user: customer_user
    login_password: "{{ customer_db_password }}"
    audit_directory: /srv/audit
    max_rows: 5000
    beyond_limits: withhold
  register: prune
  until: prune.left == 0
  retries: 20
  delay: 5
"""

RETURN = r"""
planned:
  description: Rows that the plan deletes.
  type: int
  returned: when a plan could be made
  sample: 3
deleted:
  description: Rows whose end the server has confirmed; V(0) in check mode.
  type: int
  returned: when a plan could be made
  sample: 3
withheld:
  description: Rows that expired and were left because of O(max_rows); counting stops at 100000.
  type: int
  returned: when a plan could be made
  sample: 0
left:
  description: Rows that expired and are there at the end, in check mode those that are there now.
  type: int
  returned: when a plan could be made
  sample: 0
audit:
  description: The copy; null when none was made.
  type: dict
  returned: when a plan could be made
  contains:
    path:
      description: The file.
      type: str
    rows:
      description: Rows in it.
      type: int
    size_bytes:
      description: Its size.
      type: int
    sha256:
      description: Its SHA-256.
      type: str
  sample: {path: /srv/audit/checkout_idempotency-customer-db.example.com-5432-customer_db-20310402T080000Z.jsonl, rows: 3,
    size_bytes: 1210, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
rows:
  description: The rows of the plan, those that expired first at the beginning; at most 1000.
  type: list
  elements: dict
  returned: when a plan could be made
  contains:
    key_sha256:
      description: The first 16 digits of the key's SHA-256.
      type: str
    response_status:
      description: Status of the kept answer.
      type: int
    created_at:
      description: When it was written.
      type: str
    expires_at:
      description: When it expired.
      type: str
    outcome:
      description:
        - V(deleted), V(would_delete) in check mode, V(changed) when it was renewed meanwhile and stays, V(gone) when somebody
          else has deleted it, V(in_use) when a session held it and it stays, V(not_tried) when there was no time left,
          V(unknown) when the connection was lost before the answer.
      type: str
  sample:
    - {key_sha256: 2c26b46b68ffc68f, response_status: 201, created_at: "2031-04-01T08:00:00Z", expires_at: "2031-04-02T08:00:00Z",
       outcome: deleted}
"""

from ansible_collections.sre.runbooks.plugins.module_utils import ecommerce_idempotency_prune, operation

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(ecommerce_idempotency_prune.SPEC, ecommerce_idempotency_prune.run, REQUIRES)


if __name__ == "__main__":
    main()
