#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_diagnosis
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Tell apart why the data of a BackOffice are stale
description:
  - Takes the results of the modules that looked at a BackOffice, its consumer group, its gateway, its service manager, its
    log and its database, and names the cause of what they show, with the checks that are its evidence and the next command.
  - The age of the last event alone cannot tell a quiet market from a dead consumer. The check C(freshness) judges the age
    together with the group, the lag and the counters.
  - Contacts nothing. What a result does not hold counts as not observed.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  stats:
    description: Result of M(sre.runbooks.backoffice_stats). With two samples it tells whether the counters move.
    type: dict
    default: {}
  kafka:
    description: Result of M(sre.runbooks.kafka_status) with C(end_offsets=true).
    type: dict
    default: {}
  lag:
    description: Result of M(sre.runbooks.kafka_lag) for O(group).
    type: dict
    default: {}
  gateway:
    description: Result of M(sre.runbooks.backoffice_gateway).
    type: dict
    default: {}
  service:
    description: Result of M(sre.runbooks.service_control) with C(state=queried).
    type: dict
    default: {}
  log:
    description: Result of M(sre.runbooks.log_search) with the role's patterns.
    type: dict
    default: {}
  database:
    description: Result of M(sre.runbooks.backoffice_store).
    type: dict
    default: {}
  topic:
    description: Topic that the deployment should read.
    type: str
    required: true
  group:
    description: Its consumer group.
    type: str
    required: true
  stale_after_seconds:
    description: Age of the last event from which data count as stale; V(0) switches it off.
    type: float
    default: 120.0
"""

EXAMPLES = r"""
- name: Why are the data stale
  sre.runbooks.backoffice_diagnosis:
    stats: "{{ backoffice_stats_result }}"
    lag: "{{ backoffice_lag_result }}"
    topic: events
    group: backoffice
"""

RETURN = r"""
verdict:
  description: The status of the check C(freshness).
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description: The check C(freshness).
  type: list
  elements: dict
  returned: always
findings:
  description: The cause, and facts that stand on their own, each with its evidence and the next command.
  type: list
  elements: dict
  returned: always
  sample:
    - cause: consumer_dead
      confidence: seen
      evidence: [freshness, lag]
      affects: [every event since it died]
      next: {playbook: sre.runbooks.backoffice.restart, args: {}, effect: change}
cause:
  description:
    - Name of the cause, V(null) when all is as it should be or nothing fits.
    - One of V(service_stopped), V(replay_in_progress), V(died_at_boot), V(service_down), V(ledger_fatal_line), V(port_in_use),
      V(database_down), V(variable_not_numeric), V(broker_address_unresolvable), V(jwt_secret_missing), V(jwt_secret_differs),
      V(jwt_expired), V(clock_skew), V(token_refused), V(kafka_down), V(consumer_disabled), V(broker_address_wrong),
      V(topic_wrong), V(topic_missing), V(group_rebalancing), V(consumer_dead), V(consumer_gone), V(consumer_never_joined),
      V(producer_clock_ahead), V(producer_clock_behind), V(publisher_off), V(gateway_down), V(ledger_lost),
      V(everything_skipped), V(consumer_slow), V(consumer_stuck), V(topic_empty), V(restarted_on_quiet_market), V(quiet_market).
  type: str
  returned: always
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_diagnosis, operation


def main() -> None:
    operation.main(backoffice_diagnosis.SPEC, backoffice_diagnosis.run)


if __name__ == "__main__":
    main()
