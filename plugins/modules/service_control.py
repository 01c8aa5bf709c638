#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_control
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Query, start, stop and restart long-running services, verified by their manager
description:
  - Drives services of one machine through their manager, systemd or supervisor, with one interface for both.
  - Takes many services in one task. They are started in the given order and stopped in the reverse order.
  - A start is not over when the manager has taken the order, but when it says that the service runs and the service has
    stayed up, as the same process, for O(settle_seconds). A service that ends at once fails the task, with its exit
    status and the last lines of its error output, redacted.
  - Before a service is stopped its process id is compared with the one that was planned for. When somebody else has
    restarted it in between, the task fails and leaves it alone.
  - With O(state=queried) it only reads, and gives one check for each service. A manager that cannot be asked
    makes these checks unverified.
  - With supervisor only the Python standard library is used.
extends_documentation_fragment:
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the plan without acting on it.
    support: full
    details:
      - RV(services) holds the same actions and reasons as without check mode; RV(services[].after) is V(null).
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - No text is changed; RV(services) holds the state before and after.
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: partial
    details:
      - O(state=restarted) restarts each time, unless O(not_before) is given.
options:
  manager:
    description: Which service manager runs the services.
    type: str
    required: true
    choices: [systemd, supervisor]
  services:
    description:
      - Names of the services, as the manager has them. A supervisor program inside a group of another name is
        C(group:program).
      - A dependency comes before what depends on it.
    type: list
    elements: str
    required: true
  state:
    description:
      - V(queried) reads only.
      - V(started) starts what does not run, and waits for what its manager is starting already.
      - V(stopped) stops what runs.
      - V(restarted) stops all that run, in reverse order, then starts all in order. What did not run is started.
    type: str
    default: queried
    choices: [queried, started, stopped, restarted]
  expected:
    description: With O(state=queried), the state in which each service should be.
    type: str
    default: running
    choices: [running, stopped]
  scope:
    description: With O(manager=systemd), whose units are meant, the system's or those of the user who runs the task.
    type: str
    default: system
    choices: [system, user]
  supervisor_socket:
    description: With O(manager=supervisor), path of its unix socket, C(file) of its section C([unix_http_server]).
    type: path
  supervisor_url:
    description: With O(manager=supervisor), its address when it listens on TCP, for example V(http://127.0.0.1:9001).
    type: str
  supervisor_username:
    description: Login that supervisor asks for.
    type: str
  supervisor_password:
    description: Password of O(supervisor_username).
    type: str
  environment_names:
    description:
      - With O(state=queried), variables to read from the environment with which each running process was started.
      - A name whose value could be a secret is refused.
    type: list
    elements: str
    default: []
  not_before:
    description:
      - With O(state=restarted), ISO 8601 time. A service that was started at this time or later is left alone, so
        that the task can be repeated after a run that was cut short.
      - The start of a process is known to hundredths of a second from C(/proc); where that cannot be read, to the whole
        seconds that the managers tell, and one that was started in the same second counts as restarted.
      - It is a time of the managed machine. RV(observed_at) of an earlier query is one.
    type: str
  settle_seconds:
    description: How long a started service must stay up, as the same process, before the start counts. At most 600.
    type: float
    default: 2.0
  stop_timeout_seconds:
    description: How long one service may take to stop. At most 3600.
    type: float
    default: 60.0
  timeout:
    description: Seconds that the whole task may take, waiting included. At most 7200.
    type: float
    default: 180.0
"""

EXAMPLES = r"""
- name: Does it run
  sre.runbooks.service_control:
    manager: systemd
    services: [backoffice]
  register: service

- name: Restart it, once, even when this task is repeated
  sre.runbooks.service_control:
    manager: systemd
    services: [backoffice]
    state: restarted
    not_before: "{{ service.observed_at }}"

- name: Start a chain of services under supervisor, dependencies first
  sre.runbooks.service_control:
    manager: supervisor
    supervisor_socket: /run/supervisor.sock
    services: [postgresql, kafka, backoffice]
    state: started
    timeout: 300

- name: Be sure that nothing writes the ledger
  sre.runbooks.service_control:
    manager: supervisor
    supervisor_socket: /run/supervisor.sock
    services: [backoffice]
    expected: stopped
"""

RETURN = r"""
services:
  description:
    - One row for each service, in the given order. With O(state=queried) a row holds RV(services[].name) and, beside
      it, the keys of RV(services[].before).
  type: list
  elements: dict
  returned: always, also when the task failed after it had begun to act
  contains:
    name:
      description: Name of the service.
      type: str
    action:
      description: What was planned, one of V(none), V(wait), V(start), V(stop) and V(restart).
      type: str
      sample: restart
    reason:
      description: Why this was planned.
      type: str
      sample: it is running since 2031-04-02T08:00:00Z
    changed:
      description: Whether the manager was made to act on it.
      type: bool
    before:
      description: Its state when the plan was made.
      type: dict
      contains:
        state:
          description: One of V(running), V(stopped), V(failed), V(starting), V(stopping) and V(unknown).
          type: str
        pid:
          description: Its process id, V(null) when there is none.
          type: int
        since:
          description: ISO 8601 time at which its process began, or ended when it does not run.
          type: str
        started_at:
          description: ISO 8601 time of its last start, whatever came of it.
          type: str
        exit_code:
          description: Exit status of the process that ended last, negative for a signal; V(null) while it runs.
          type: int
        problem:
          description: Why the state is unknown; empty otherwise.
          type: str
        detail:
          description: The manager's own words.
          type: dict
        logs:
          description: Paths of its log files by stream, where the manager tells them (supervisor does).
          type: dict
    environment:
      description: Value of each variable of O(environment_names) that is set; V(null) when it may not be looked at.
      type: dict
      returned: when O(state=queried)
    after:
      description: Its state at the end, with the keys of RV(services[].before); V(null) in check mode.
      type: dict
observed_at:
  description: Time of the managed machine at the end of the task, ISO 8601.
  type: str
  returned: success
  sample: "2031-04-02T08:00:05Z"
log_tail:
  description: Last lines of the error output of the service that ended, redacted.
  type: list
  elements: str
  returned: when a service ended after its start
verdict:
  description: The worst status of the checks.
  type: str
  returned: when O(state=queried)
  choices: [pass, fail, unverified]
checks:
  description: One check C(service.<name>) for each service.
  type: list
  elements: dict
  returned: when O(state=queried)
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: when O(state=queried)
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, service_control

REQUIRES = ()


def main() -> None:
    operation.main(service_control.SPEC, service_control.run, REQUIRES)


if __name__ == "__main__":
    main()
