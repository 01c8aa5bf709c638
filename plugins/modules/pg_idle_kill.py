#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_idle_kill
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: End PostgreSQL sessions that have been idle for too long
description:
  - Ends sessions of one or several databases that have been idle, or idle in a transaction, for longer than is allowed.
  - How long is told by the server's C(state_change), so that a session that never ran a query counts, and one that has
    just ended a long query does not.
  - Acts on exactly the sessions of its plan. Each is ended by a statement of its own, in which the server looks again at
    its pid, its begin, its state and the time of the last change. One that was used meanwhile stays. What became of each
    is confirmed by the server.
  - Never touched are its own session, walsenders, the server's own processes, parallel workers, sessions that hold an
    advisory lock as a running migration does, and those whose last statement is C(LISTEN). Superusers' sessions are only
    ended when O(include_superusers) says so.
  - Where sessions hide their state from the user that the module connects as, it fails and ends nothing, rather than
    saying that none is idle.
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
      - Returns the same plan; the outcome of a session that would be ended is V(would_terminate).
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - What a limit withheld in the first run is ended by the next.
options:
  idle_seconds:
    description:
      - Sessions that have been C(idle) for this many seconds are ended. V(0) leaves them alone.
      - Pools hold idle sessions for half an hour as a matter of course (C(maxLifetime) of HikariCP); much less than the
        default ends healthy ones.
    type: float
    default: 3600.0
  idle_in_transaction_seconds:
    description:
      - Sessions that have been C(idle in transaction), aborted ones too, for this many seconds are ended.
      - If not set, or V(0), they are left alone.
    type: float
  floor_seconds:
    description: Ages below this are refused. Lower it where a shorter age is really meant.
    type: float
    default: 60.0
  users:
    description: Only sessions of these users. If empty, of all.
    type: list
    elements: str
    default: []
  application_names:
    description: Only sessions with these application names; shell patterns such as C(batch-*). If empty, with any.
    type: list
    elements: str
    default: []
  addresses:
    description:
      - Only sessions from these client addresses or networks, C(local) for the unix socket. If empty, from anywhere.
    type: list
    elements: str
    default: []
  exclude_users:
    description: Sessions of these users stay.
    type: list
    elements: str
    default: []
  exclude_application_names:
    description:
      - Sessions with these application names stay; shell patterns. Name here what listens for notifications, since that
        is not always visible.
    type: list
    elements: str
    default: []
  exclude_addresses:
    description: Sessions from these client addresses or networks stay; C(local) for the unix socket.
    type: list
    elements: str
    default: []
  include_superusers:
    description: Whether sessions of superusers are ended too, which only a superuser can do.
    type: bool
    default: false
  max_kill:
    description: Most sessions that one task ends, over all databases, from 1 to 1000; those idle for longest first.
    type: int
    default: 100
  max_percent:
    description: Most that is ended of the sessions that a user has in a database, in percent, rounded down.
    type: float
    default: 100.0
  beyond_limits:
    description:
      - What happens when there are more idle sessions than O(max_kill) and O(max_percent) allow.
      - With V(withhold), as many as are allowed are ended, and the others are told of. With V(refuse), none is ended.
    type: str
    choices: [withhold, refuse]
    default: withhold
  wait_seconds:
    description:
      - Longest time to wait until the server has none of the ended sessions any more, from 0.1 to 60 seconds, and less than
        O(timeout).
    type: float
    default: 5.0
  show_query:
    description: Whether the last statement of each session is returned, at most 500 characters, without its values.
    type: bool
    default: false
  timeout:
    description: Seconds for the whole task.
    type: float
    default: 60.0
notes:
  - The user needs the roles C(pg_read_all_stats) and C(pg_signal_backend). For PostgreSQL 13 and later.
  - All databases are read before any session is ended; where one cannot be read, nothing is ended. Where another server
    answers by then under the same name (several hosts, a name with several addresses), nothing is ended there. On failure
    the result holds the same as on success, beside the message.
  - The client of an ended session sees SQLSTATE 57P01; the server's own time limits give 57P05 and 25P03.
  - Connect to the server itself; a pooler is refused. On the server, only a pooler's connections are seen, and its
    clients stay when these are ended; RV(hints) says where that looks so.
  - Prepared transactions keep their locks whatever session ends. They are returned, and warned of.
  - At C(max_connections) a superuser still gets in; from PostgreSQL 16 on, so does a role with
    C(pg_use_reserved_connections), where C(reserved_connections) is set.
seealso:
  - module: sre.runbooks.pg_activity
"""

EXAMPLES = r"""
- name: What has been idle for more than an hour, without ending it
  sre.runbooks.pg_idle_kill:
    login_host: db.example.com
    login_db: hafnium
    login_user: sre_runbooks
    login_password: "{{ hafnium_db_password }}"
  check_mode: true

- name: End leaked sessions of one service, and transactions that were left open, at most half of its sessions
  sre.runbooks.pg_idle_kill:
    login_host: db.example.com
    login_db: hafnium
    login_user: sre_runbooks
    login_password: "{{ hafnium_db_password }}"
    idle_seconds: 3600
    idle_in_transaction_seconds: 900
    users: [hafnium]
    exclude_application_names: ["pg_dump*", listener]
    max_percent: 50

- name: Two databases in one task
  sre.runbooks.pg_idle_kill:
    databases:
      - name: customer
        url: jdbc:postgresql://db.example.com:5432/customer_db
      - name: order
        url: jdbc:postgresql://db.example.com:5433/order_db
    login_user: sre_runbooks
    login_password: "{{ shop_db_password }}"
    max_kill: 20
    beyond_limits: refuse
"""

RETURN = r"""
planned:
  description: Sessions that the plan ends.
  type: int
  returned: when a plan could be made
  sample: 3
terminated:
  description: Sessions whose end the server has confirmed; V(0) in check mode.
  type: int
  returned: when a plan could be made
  sample: 3
withheld:
  description: Idle sessions that were left because of O(max_kill) or O(max_percent).
  type: int
  returned: when a plan could be made
  sample: 0
kept:
  description: Idle sessions that are left alone, whatever the limits.
  type: int
  returned: when a plan could be made
  sample: 1
sessions:
  description: Sessions that were idle for long enough. Those to be ended first, those idle for longest first; at most 1000.
  type: list
  elements: dict
  returned: when a plan could be made
  contains:
    database:
      description: Name of the item of O(databases).
      type: str
    pid:
      description: Process of the session.
      type: int
    usename:
      description: User it is connected as.
      type: str
    datname:
      description: Database on its server.
      type: str
    application_name:
      description: What the client calls itself.
      type: str
    client_addr:
      description: Address of the client, C(local) for the unix socket.
      type: str
    backend_start:
      description: When it was connected.
      type: str
    state:
      description: V(idle), V(idle in transaction) or V(idle in transaction (aborted)).
      type: str
    state_change:
      description: Since when it has been in that state.
      type: str
    idle_seconds:
      description: Seconds since then, by the server's clock.
      type: float
    xact_age_seconds:
      description: Age of its transaction, which is how long it holds back vacuum.
      type: float
    blocked_count:
      description: Sessions that wait for a lock of it.
      type: int
    action:
      description: V(terminate), V(keep) or V(withhold).
      type: str
    reason:
      description: Why it is kept or withheld.
      type: str
    outcome:
      description:
        - What became of a session to be ended. V(terminated), V(would_terminate) in check mode, V(changed) when it was used
          meanwhile and stays, V(gone) when it had ended by itself, V(denied), V(timeout) when its end was not seen,
          V(not_tried) when there was no time left.
      type: str
    query:
      description: Its last statement without values, with O(show_query).
      type: str
  sample:
    - {database: hafnium, pid: 4711, usename: hafnium, datname: hafnium, application_name: PostgreSQL JDBC Driver,
       client_addr: 10.0.0.7, backend_start: "2026-01-31T02:00:00.000000+00:00", state: idle,
       state_change: "2026-01-31T02:10:00.000000+00:00", idle_seconds: 7200.0, xact_age_seconds: null, blocked_count: 0,
       action: terminate, reason: "", outcome: terminated}
databases:
  description: What was seen of each database.
  type: list
  elements: dict
  returned: when a plan could be made
  contains:
    name:
      description: Name of the item.
      type: str
    datname:
      description: Database on its server.
      type: str
    server_version:
      description: Version of the server.
      type: str
    states:
      description: Number of the clients' sessions by state, before.
      type: dict
    states_after:
      description: The same, read again after sessions were ended; null where none was.
      type: dict
    unclassified:
      description: Sessions that do not tell their state, because C(track_activities) is off for them.
      type: int
    prepared_transactions:
      description: Prepared transactions, the oldest first, with C(gid), C(owner), C(age_seconds) and C(xid_age).
      type: list
      elements: dict
  sample:
    - {name: hafnium, datname: hafnium, server_version: "15.6", states: {active: 2, idle: 12}, states_after: {active: 2, idle: 9},
       unclassified: 0, prepared_transactions: []}
hints:
  description: What keeps idle sessions from coming back.
  type: list
  elements: str
  returned: when a plan could be made
  sample:
    - "hafnium: hafnium has no idle_session_timeout. Where no pooler holds its connections open: ALTER ROLE \"hafnium\" SET idle_session_timeout = '2h'."
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, pg_idle_kill

REQUIRES = ("psycopg2-binary",)


def main() -> None:
    operation.main(pg_idle_kill.SPEC, pg_idle_kill.run, REQUIRES)


if __name__ == "__main__":
    main()
