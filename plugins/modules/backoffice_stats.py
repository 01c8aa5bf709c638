#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_stats
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Check the health, freshness and books of a BackOffice
description:
  - Asks the endpoints of a BackOffice with one token on one session and turns the answers into checks.
  - Nothing that was not observed is green. An empty system, a replay that measured nothing because a snapshot covered
    the ledger, and a reconciliation of nothing with nothing are V(unverified).
  - Reconciliation is computed anew from the server's sums. Its own C(ok) is wrong for every open position of an
    in-memory store, and over more entries than its limit; the limit is raised until all entries are covered.
  - Both known shapes of C(/stats) are understood and told apart by their keys; anything else fails.
extends_documentation_fragment:
  - sre.runbooks.backoffice_api
  - sre.runbooks.http_client
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  url:
    description:
      - Base URL of the BackOffice.
      - The environment variable E(BACKOFFICE_URL) is used when this is not set.
    type: str
    required: true
  gather_subset:
    description: What is asked and checked. V(min) is health and stats.
    type: list
    elements: str
    default: [all]
    choices: [all, min, health, stats, positions, balances, ledger, reconcile]
  stale_after_seconds:
    description:
      - Most seconds since the last applied event.
      - V(0) leaves freshness to the caller. It is not checked then and stands in RV(not_checked), and two samples in
        which nothing moved do so too.
    type: float
    default: 120.0
  replay_slo_ms:
    description: Most milliseconds that the replay of the last start may have taken. V(0) is not checked.
    type: int
    default: 5000
  strict:
    description:
      - Whether an event that is missing or old counts as such even when O(consumer_caught_up) says that nothing waits.
    type: bool
    default: false
  consumer_caught_up:
    description:
      - What the broker showed, when the caller asked it (see M(sre.runbooks.kafka_lag)). V(true) means that the consumer
        group is stable, has a member, and nothing is left to read.
      - Unless O(strict), it turns "no event since the last start", "last event too old" and "nothing moved" into a
        pass, because then the market is quiet. Without it they are V(unverified), V(fail) and V(unverified).
    type: bool
  ledger_limit:
    description: How many of the last ledger entries are returned.
    type: int
    default: 10
  reconcile_limit:
    description:
      - Over how many ledger entries is reconciled at first. Where the account has more, the most the server can do
        (10000) is asked for; where even that does not cover them the checks are V(unverified).
    type: int
    default: 1000
  samples:
    description: With V(2) the statistics are asked twice, and C(consumer_progress) tells what moved in between.
    type: int
    default: 1
    choices: [1, 2]
  sample_interval_seconds:
    description: Time between the two samples.
    type: float
    default: 5.0
"""

EXAMPLES = r"""
- name: Recovery check
  sre.runbooks.backoffice_stats:
    url: http://localhost:8082
    account_id: acct_demo
    jwt_secret: "{{ backoffice_jwt_secret }}"
  register: recovery

- name: Is it up, and does it move
  sre.runbooks.backoffice_stats:
    url: http://localhost:8082
    token: "{{ backoffice_token }}"
    gather_subset: [min]
    samples: 2
    sample_interval_seconds: 10
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: pass
checks:
  description:
    - C(health), C(stats), C(last_event_age), C(replay_slo), C(replay_lines), C(consumer_progress), C(positions),
      C(balances), C(ledger), C(reconcile.balances) and C(reconcile.positions), as far as they were asked for.
    - C(replay_lines) fails when lines of the ledger were skipped at the last start; it is there only when some were read.
    - A refused token leaves checks V(unverified), except where the server has no secret at all.
  type: list
  elements: dict
  returned: always
  sample:
    - id: last_event_age
      title: Last event is recent
      status: pass
      observed: 1.8 s old
      expected: at most 120 s old
      hint: The time is the producer's, of the last applied event of any account.
      runbook: Checklist
      duration_ms: null
findings:
  description:
    - What several checks mean together. The cause is one of ledger_unreadable, store_down, ledger_replaced_while_running,
      ledger_and_store_differ, ledger_lines_skipped.
  type: list
  elements: dict
  returned: always
not_checked:
  description: Checks that were switched off by a V(0), with the reason.
  type: list
  elements: dict
  returned: always
  sample:
    - id: replay_slo
      reason: replay_slo_ms is 0
url:
  description: What was asked, without credentials.
  type: str
  returned: always
account_id:
  description: The account that was looked at; V(null) when neither option nor token names one.
  type: str
  returned: always
http:
  description:
    - V(ok) when every endpoint answered as it should, V(refused) when nothing listens, V(unauthorized) when the token was
      refused, V(error) for everything else.
  type: str
  returned: always
  choices: [ok, refused, unauthorized, error]
auth_reason:
  description: The server's reason for refusing the token.
  type: str
  returned: always
  sample: TOKEN_EXPIRED
clock_offset_seconds:
  description: The server's clock minus this machine's, by its Date header.
  type: float
  returned: always
answers:
  description: By endpoint, its C(status) (HTTP), C(meaning), C(reason) of a refusal, C(latency_ms) and C(attempts).
  type: dict
  returned: always
shape:
  description: Which implementation it is, by its statistics.
  type: str
  returned: always
  choices: [kotlin, java, unknown]
stats:
  description: The statistics, in one form for both shapes (the last sample); V(null) when they could not be read.
  type: dict
  returned: always
  contains:
    shape:
      description: As RV(shape).
      type: str
    started_at_ms:
      description: Start of the process, milliseconds since the epoch.
      type: int
    processed:
      description: Events applied since the start.
      type: int
    skipped:
      description: Events skipped since the start; each order has some.
      type: int
    last_event:
      description: Time of the last applied event as the server gives it, V(null) when there was none since the start.
      type: raw
    last_event_ms:
      description: The same in milliseconds since the epoch, V(null) when it is no point in time.
      type: int
    last_event_age_seconds:
      description: Its age; negative when it is in the future.
      type: float
    last_offset:
      description: The last record that was seen.
      type: str
      sample: events:2:41
    replay:
      description: The replay of the last start with C(lines), C(applied), C(skipped) and C(duration_ms).
      type: dict
    state:
      description: State of the java shape.
      type: str
    enabled:
      description: Whether the java shape is enabled.
      type: bool
    behind_bytes:
      description: Bytes of the gateway's audit file that the java shape has not read.
      type: int
    losses:
      description: Counters of the java shape that are not zero and should be.
      type: list
      elements: str
progress:
  description:
    - What changed between two samples, V(null) when there was one. C(seconds), C(restarted), C(processed), C(skipped),
      C(offset_moved), C(event_moved).
  type: dict
  returned: always
positions:
  description: The positions of the account, V(null) when they could not be read.
  type: list
  elements: dict
  returned: when asked for
balances:
  description: The balances of the account, V(null) when they could not be read.
  type: list
  elements: dict
  returned: when asked for
ledger:
  description: The last entries of the account, V(null) when they could not be read.
  type: list
  elements: dict
  returned: always
ledger_entries:
  description: How many entries the account has, V(null) when there are 1000 or more, or it is not known.
  type: int
  returned: always
state_empty:
  description: Whether the account has neither positions nor balances; V(null) when that is not known.
  type: bool
  returned: always
ledger_empty:
  description: Whether the account has no ledger entries; V(null) when that is not known.
  type: bool
  returned: always
reconcile:
  description:
    - The reconciliation computed here. C(limit) of the entries, whether they are all C(covered), and for C(balances) and
      C(positions) C(ok), C(server_ok), C(diffs) (store minus ledger, prefix taken off) and the number of C(entries).
  type: dict
  returned: always
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_stats, operation

REQUIRES = ("urllib3", "PyJWT")


def main() -> None:
    operation.main(backoffice_stats.SPEC, backoffice_stats.run, REQUIRES)


if __name__ == "__main__":
    main()
