#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_activity
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Check who is connected to PostgreSQL databases, what runs, and what waits
description:
  - Asks one or several databases for their sessions and load, and compares what it sees with thresholds.
  - A database that does not answer is a failed check, and the others are still reported. Where the user is not let in, or
    may not see what other users do, the checks concerned are unverified.
  - The checks are C(connections.<name>) (C(SELECT 1) is answered in time), C(saturation.<name>), C(long_queries.<name>),
    C(blocked.<name>), C(idle_in_transaction.<name>), C(prepared.<name>), C(replication.<name>), C(xmin.<name>) and
    C(slow_queries.<name>). A threshold of V(0) is off. It gives no check, while what was read is still returned.
extends_documentation_fragment:
  - sre.runbooks.postgresql
  - sre.runbooks.databases
  - sre.runbooks.databases.concurrency
  - sre.runbooks.postgres
  - sre.runbooks.postgres.session
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  checks:
    description: What is looked at.
    type: list
    elements: str
    choices:
      - connections
      - saturation
      - long_queries
      - blocked
      - idle_in_transaction
      - prepared
      - replication
      - xmin
      - slow_queries
    default:
      - connections
      - saturation
      - long_queries
      - blocked
      - idle_in_transaction
      - prepared
      - replication
      - xmin
      - slow_queries
  answer_ms:
    description: Longest time for the answer to C(SELECT 1), in milliseconds, without making the connection. V(0) is any.
    type: int
    default: 1000
  max_sessions:
    description: Most sessions of the database, without the module's own. V(0) is any number.
    type: int
    default: 0
  max_saturation_percent:
    description:
      - Most connections that are taken, in percent. It holds for C(max_connections) of the server without those that are
        reserved, and for the connection limits of the database and of each role that has one. A limit of 0 shuts a role
        on purpose, and one of a superuser does not hold; neither counts.
    type: float
    default: 80.0
  long_query_seconds:
    description: A statement that has been running for longer fails C(long_queries.<name>).
    type: float
    default: 60.0
  idle_in_transaction_seconds:
    description: A transaction that has been waiting for its client for longer fails C(idle_in_transaction.<name>).
    type: float
    default: 300.0
  blocked_seconds:
    description: A session that has been waiting for a lock for longer fails C(blocked.<name>).
    type: float
    default: 30.0
  prepared_seconds:
    description: A prepared transaction that is older fails C(prepared.<name>).
    type: float
    default: 300.0
  replication_lag_seconds:
    description:
      - A standby that is further behind fails C(replication.<name>), asked itself or seen from its primary. A primary
        without standbys has no such check, unless O(min_standbys) says that there should be any.
    type: float
    default: 60.0
  min_standbys:
    description: Least number of standbys that stream from a primary.
    type: int
    default: 0
  max_xmin_age:
    description: Most transactions for which vacuum is held back by a session, a prepared transaction or a replication slot.
    type: int
    default: 10000000
  slow_query_ms:
    description:
      - A statement whose mean time is longer, in milliseconds, fails C(slow_queries.<name>). Needs the extension
        C(pg_stat_statements) in the database; without it there is a note instead of a check.
      - Dumps (C(COPY)), maintenance, changes of the schema, and the digests that backups of this collection make take as
        long as there is much to do, and are left out.
    type: float
    default: 1000.0
  slow_query_min_calls:
    description: Statements that were called fewer times are left out.
    type: int
    default: 10
  show_query:
    description: Whether texts of statements are returned, at most 500 characters each, without their values.
    type: bool
    default: false
  capture:
    description: Whether all sessions of each database are returned as evidence, with their statements without values.
    type: bool
    default: false
  capture_rows:
    description: Most sessions that are returned for O(capture), from 1 to 2000.
    type: int
    default: 200
  runbook:
    description: Section of the runbook, for the checks.
    type: str
    default: ""
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
notes:
  - The user needs the role C(pg_read_all_stats). For PostgreSQL 13 and later; before 14, waits for locks are counted from
    the begin of the statement.
  - Causes of findings are V(database_unreachable), V(connections_exhausted), V(blocked_by_open_transaction) and
    V(blocked_by_prepared_transaction).
seealso:
  - module: sre.runbooks.pg_idle_kill
"""

EXAMPLES = r"""
- name: Is the database there, and who is connected?
  sre.runbooks.pg_activity:
    login_host: db.example.com
    login_db: hafnium
    login_user: sre_runbooks
    login_password: "{{ hafnium_db_password }}"
    checks: [connections, saturation]

- name: Both databases of the shop, with all sessions as evidence
  sre.runbooks.pg_activity:
    databases:
      - name: customer
        url: jdbc:postgresql://db.example.com:5432/customer_db
      - name: order
        url: jdbc:postgresql://db.example.com:5433/order_db
    login_user: sre_runbooks
    login_password: "{{ shop_db_password }}"
    long_query_seconds: 30
    capture: true
    runbook: "5.4"
  register: activity

- name: A primary that should have two standbys
  sre.runbooks.pg_activity:
    login_host: db.example.com
    login_db: postgres
    checks: [replication]
    min_standbys: 2
    replication_lag_seconds: 10
"""

RETURN = r"""
verdict:
  description: V(pass), V(fail) or V(unverified), the worst of the checks.
  type: str
  returned: when the options are in order
  sample: pass
checks:
  description: One for each database and thing that is looked at.
  type: list
  elements: dict
  returned: when the options are in order
  sample:
    - {id: connections.hafnium, title: the database answers (hafnium), status: pass,
       observed: "SELECT 1 in 1 ms; 12 other sessions (2 active, 10 idle)", expected: an answer within 1000 ms,
       hint: That it answers does not show that its pools are free., runbook: "3.2", duration_ms: null}
findings:
  description: What failed checks mean together.
  type: list
  elements: dict
  returned: when the options are in order
  sample:
    - {cause: blocked_by_open_transaction, confidence: seen, evidence: [blocked.hafnium, idle_in_transaction.hafnium],
       affects: [hafnium], next: null}
databases:
  description: What was seen of each database, in their order. Of one that did not answer, only the first three.
  type: list
  elements: dict
  returned: when the options are in order
  contains:
    name:
      description: Name of the item of O(databases).
      type: str
    answered:
      description: Whether it could be asked.
      type: bool
    problem:
      description: Why it could not.
      type: str
    datname:
      description: Database on its server.
      type: str
    server_version:
      description: Version of the server.
      type: str
    answer_ms:
      description: Milliseconds that C(SELECT 1) took.
      type: int
    sessions:
      description: Number of the clients' sessions in this database, without the module's own.
      type: int
    hidden:
      description: How many of them do not show their state to this user.
      type: int
    states:
      description: How many are in which state.
      type: dict
    counts:
      description:
        - How many sessions there are of each C(usename), C(application_name) and C(state), with the longest time that one
          has been in it (C(oldest_seconds)). At most 100 rows.
      type: list
      elements: dict
    limits:
      description: Limits of connections, the fullest first, with C(what), C(used), C(most) and C(percent).
      type: list
      elements: dict
    long_queries:
      description: Sessions whose statement has been running for longer than O(long_query_seconds).
      type: list
      elements: dict
    idle_in_transaction:
      description: Sessions with an open transaction that wait for their client, the oldest first, whatever their age.
      type: list
      elements: dict
    blockers:
      description:
        - Sessions that block others and wait for nobody, with C(waiting), C(longest_wait_seconds), and below C(waiters) all
          that wait for them, with their C(depth). A C(pid) of 0 is a prepared transaction.
      type: list
      elements: dict
    prepared:
      description: Prepared transactions, with C(gid), C(owner), C(age_seconds) and C(xid_age).
      type: list
      elements: dict
    replication:
      description: C(in_recovery), C(receiver) and C(lag_seconds) of a standby, C(standbys) of a primary.
      type: dict
    xmin_holders:
      description: What holds back vacuum, the oldest first, with C(kind), C(name) and C(age) in transactions.
      type: list
      elements: dict
    slow_queries:
      description: Rows of C(pg_stat_statements) whose mean is beyond O(slow_query_ms), the slowest 20.
      type: list
      elements: dict
    notes:
      description: What could not be looked at, and why.
      type: list
      elements: str
  sample:
    - {name: hafnium, answered: true, problem: "", datname: hafnium, server_version: "15.6", answer_ms: 1, sessions: 12, hidden: 0,
       states: {active: 2, idle: 10}, counts: [{usename: hafnium, application_name: PostgreSQL JDBC Driver, state: idle,
       count: 10, oldest_seconds: 61.5}], limits: [{what: "max_connections, 3 of 100 reserved", used: 13, most: 97,
       percent: 13.4}], long_queries: [], idle_in_transaction: [], blockers: [], prepared: [], replication: {in_recovery: false,
       receiver: null, lag_seconds: null, standbys: []}, xmin_holders: [], slow_queries: [], notes: []}
capture:
  description: All sessions of each database that answered. The report of a run keeps them.
  type: list
  elements: dict
  returned: with O(capture)
  contains:
    name:
      description: Name of the item of O(databases).
      type: str
    activity:
      description: Its sessions, with their statements without values.
      type: list
      elements: dict
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, pg_activity

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(pg_activity.SPEC, pg_activity.run, REQUIRES)


if __name__ == "__main__":
    main()
