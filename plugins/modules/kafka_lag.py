#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_lag
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Lag of Kafka consumer groups, and whether it is being worked off
description:
  - Reads committed offsets, log starts and ends of any number of consumer groups in one task, and judges the lag.
  - The lag of a partition is its end minus the committed offset, or minus the log start where that is higher, and never
    below 0. It counts offsets. In a compacted or transactional topic that is more than the number of records. Commits
    are read before ends.
  - A partition without a committed offset has an unknown lag (null), unless it holds no records or O(no_commit_policy)
    says where the group would begin.
  - A total goes with C(complete). What could not be read makes the check unverified, never green.
  - Works with classic and KIP-848 groups, with members or empty, and with consumers that commit without joining. Share
    groups have no committed offsets and are reported as unverified.
  - Needs the ACL operation Describe on the groups and on their topics. O(group_patterns) finds the groups that the user
    may describe, or all of them with Describe on the cluster.
  - "Requests: one ListOffsets of each kind (start, last stable offset, high watermark) per broker for all groups
    together, and one OffsetFetch and one DescribeGroups per group, at most eight at a time. The client library takes
    one group per request."
extends_documentation_fragment:
  - sre.runbooks.kafka
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  groups:
    description:
      - Consumer groups by their exact names.
      - One of O(groups) and O(group_patterns) is required.
    type: list
    elements: str
    default: []
  group_patterns:
    description:
      - Patterns that the whole name of a group must match, with shell wildcards, such as V(orders-*).
      - A pattern that matches nothing fails, unless O(missing_ok=true).
    type: list
    elements: str
    default: []
  topics:
    description:
      - Look only at these topics. Each must exist.
      - A group with members that reads none of them fails.
      - By default all topics that a group committed to or is assigned.
    type: list
    elements: str
    default: []
  isolation:
    description:
      - Which records the groups read. For V(read_committed) the end of a partition is its last stable offset.
      - Both ends are always returned.
    type: str
    choices: [read_uncommitted, read_committed]
    default: read_uncommitted
  no_commit_policy:
    description:
      - Where a group begins in a partition that it never committed to, as its C(auto.offset.reset) says.
      - V(unknown) leaves the lag of such a partition unknown if it holds records.
    type: str
    choices: [unknown, earliest, latest]
    default: unknown
  missing_ok:
    description: Whether a group that does not exist, or a pattern that matches nothing, is fine.
    type: bool
    default: false
  max_lag:
    description:
      - Highest total lag of a group, in offsets. More fails.
      - Do not use V(0) for topics that are written in transactions. The marker of a transaction is never committed by
        some consumers, which keeps their lag at 1.
      - By default no limit. The check then says only whether the lag could be read.
    type: int
  max_lag_by_topic:
    description: Highest lag of a group by topic, as a dictionary of topic and number of offsets.
    type: dict
    default: {}
  min_members:
    description:
      - Fewest members that each group must have. V(0) switches the check off, for batch jobs and for consumers that
        commit without joining the group.
    type: int
    default: 1
  samples:
    description: With V(2) the lag is read twice and its movement is judged.
    type: int
    choices: [1, 2]
    default: 1
  sample_interval_seconds:
    description:
      - Time between two samples, 0.1 to 3600. It must be longer than the time between two commits of the consumers
        (often 5 seconds), or they look stalled.
    type: float
    default: 10
  allowed_lag:
    description:
      - Lag of a partition, in offsets, that is called V(ok) whether it moves or not. Use V(1) for topics that are
        written in transactions.
    type: int
    default: 0
  partitions:
    description:
      - Which partitions are returned.
      - V(lagging) returns those with a lag, with an unknown lag, with an error or with one of the flags
        V(below_log_start), V(beyond_end), V(unknown_topic), V(lso_blocked).
    type: str
    choices: [all, lagging, none]
    default: lagging
  max_partition_rows:
    description: Most partitions that are returned, over all groups, 0 to 10000. The worst are kept.
    type: int
    default: 1000
  max_groups:
    description: Most groups that are read, 1 to 5000. More make the result unverified.
    type: int
    default: 1000
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
seealso:
  - module: sre.runbooks.kafka_status
notes:
  - |
    Check ids: V(kafka.reachable) (unverified when no broker answers), V(kafka.groups) (with O(group_patterns)),
    C(topic.<topic>) (with O(topics)), C(members.<group>), C(lag.<group>), C(progress.<group>) (with O(samples=2)) and
    V(kafka.complete).
  - |
    Causes of findings: V(consumer_stopped) (seen: lag and no member), V(consumer_stalled), V(consumer_slow),
    V(hanging_transaction), V(topic_recreated), V(records_expired_unread), V(topic_not_read) (all inferred) and
    V(offsets_rewound) (seen).
"""

EXAMPLES = r"""
- name: Lag of two groups
  sre.runbooks.kafka_lag:
    bootstrap_servers: [kafka-1:9092, kafka-2:9092]
    groups: [backoffice, billing]
    topics: [events]
    max_lag: 1000

- name: Is the backlog of all order services being worked off?
  sre.runbooks.kafka_lag:
    bootstrap_servers: kafka-1:9092
    group_patterns: ["orders-*"]
    samples: 2
    sample_interval_seconds: 15
  register: lag

- name: Over TLS with a password from the vault
  sre.runbooks.kafka_lag:
    bootstrap_servers: kafka-1.example.com:9094
    security_protocol: SASL_SSL
    sasl_mechanism: SCRAM-SHA-512
    sasl_username: lag-reader
    sasl_password: "{{ vault_lag_reader_password }}"
    ssl_ca_path: /etc/ssl/kafka-ca.pem
    groups: [backoffice]
    isolation: read_committed
    allowed_lag: 1
    max_lag: 100
"""

RETURN = r"""
verdict:
  description: The worst status of the checks, V(pass), V(fail) or V(unverified).
  type: str
  returned: success
  sample: pass
checks:
  description: What was observed, compared with what was expected.
  type: list
  elements: dict
  returned: success
  sample:
    - id: lag.backoffice
      title: Lag of backoffice
      status: pass
      observed: {total_lag: 3, complete: true, state: Stable, by_topic: {events: 3}}
      expected: at most 1000
      hint: "Counts committed offsets: records that were read and dropped by the service count as done."
      runbook: "5"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample:
    - cause: consumer_stopped
      confidence: seen
      evidence: [lag.backoffice, members.backoffice]
      affects: [backoffice]
      next: null
cluster_id:
  description: Id of the cluster; null when it could not be reached.
  type: str
  returned: success
  sample: MkU3OEVBNTcwNTJENDM2Qg
total_lag:
  description: Sum of the known lags of all groups; see RV(complete). Null when no group was read.
  type: int
  returned: success
  sample: 3
complete:
  description: Whether the lag of every partition of every group that exists is known.
  type: bool
  returned: success
  sample: true
groups_left_out:
  description: Number of groups beyond O(max_groups) that were not read.
  type: int
  returned: success
  sample: 0
groups:
  description: The groups, in the order of O(groups), then those found by O(group_patterns).
  type: list
  elements: dict
  returned: success
  contains:
    group:
      description: Name of the group.
      type: str
      sample: backoffice
    exists:
      description: Whether it exists; null when that could not be observed.
      type: bool
      sample: true
    type:
      description: V(classic), V(consumer) (KIP-848) or V(unknown).
      type: str
      sample: classic
    state:
      description: V(Stable), V(Empty), V(Dead), V(PreparingRebalance), V(CompletingRebalance) or V(Unknown).
      type: str
      sample: Stable
    is_simple_consumer_group:
      description: Whether offsets are committed without a member that joins.
      type: bool
      sample: false
    assignor:
      description: How partitions are assigned.
      type: str
      sample: range
    coordinator:
      description: The broker that coordinates the group, with C(id), C(host) and C(port).
      type: dict
      sample: {id: 1, host: kafka-1, port: 9092}
    members_count:
      description: Number of members; null when it could not be observed.
      type: int
      sample: 1
    members:
      description: The first 100 members.
      type: list
      elements: dict
      sample:
        - member_id: consumer-backoffice-1-6f2c
          group_instance_id: null
          client_id: consumer-backoffice-1
          host: /10.0.0.7
          partitions_assigned: 3
    topics:
      description: Topics that the group committed to or is assigned, whatever O(topics) says.
      type: list
      elements: str
      sample: [events]
    total_lag:
      description: Sum of the known lags; null when nothing is known.
      type: int
      sample: 3
    max_lag:
      description: The largest known lag of a partition.
      type: int
      sample: 2
    by_topic:
      description: By topic, C(total_lag), C(partitions), C(unknown_partitions) and C(log_end_sum).
      type: dict
      sample: {events: {total_lag: 3, partitions: 3, unknown_partitions: 0, log_end_sum: 120}}
    complete:
      description: Whether the lag of every partition is known.
      type: bool
      sample: true
    partitions_count:
      description: Number of partitions looked at.
      type: int
      sample: 3
    partitions_left_out:
      description: Number of partitions that O(max_partition_rows) kept out of C(partitions).
      type: int
      sample: 0
    foreign_type:
      description: Protocol type of a group that is no consumer group; null for consumer groups. Empty for share groups.
      type: str
      sample: null
    errors:
      description: Errors of the whole group, each with C(code), C(name), C(retriable) and C(message).
      type: list
      elements: dict
      sample: []
    trend:
      description: With O(samples=2), the movement of the group; otherwise null.
      type: dict
      contains:
        status:
          description:
            - The worst of its partitions.
            - V(stopped), V(stalled), V(rewind), V(growing), V(unknown), V(draining) or V(ok).
          type: str
          sample: draining
        seconds:
          description: Time between the samples.
          type: float
          sample: 10.003
        consume_rate:
          description: Offsets committed per second.
          type: float
          sample: 52.0
        produce_rate:
          description: Offsets written per second.
          type: float
          sample: 40.5
        eta_seconds:
          description: Time until the lag is gone at these rates; null when it does not shrink.
          type: float
          sample: 86.9
        hanging_txn_suspected:
          description: Whether an open transaction held back a partition in both samples.
          type: bool
          sample: false
        hanging_transactions:
          description: Those partitions.
          type: list
          elements: str
          sample: []
    partitions:
      description: The partitions that O(partitions) selects.
      type: list
      elements: dict
      contains:
        topic:
          description: Name of the topic.
          type: str
          sample: events
        partition:
          description: Number of the partition.
          type: int
          sample: 0
        log_start:
          description: First offset that is still there.
          type: int
          sample: 0
        log_end:
          description: The end that the lag is measured against, C(hw) or C(lso) by O(isolation).
          type: int
          sample: 40
        hw:
          description: High watermark.
          type: int
          sample: 40
        lso:
          description: Last stable offset.
          type: int
          sample: 40
        committed:
          description: Committed offset; null when there is none.
          type: int
          sample: 38
        commit_metadata:
          description: Text that the consumer stored with the commit.
          type: str
          sample: null
        leader_epoch:
          description: Leader epoch of the commit.
          type: int
          sample: 0
        lag_offsets:
          description: The lag; null when it is not known.
          type: int
          sample: 2
        flags:
          description:
            - V(no_commit), the group never committed an offset here.
            - V(below_log_start), records were deleted before the group read them.
            - V(beyond_end), committed after the end, so the topic was recreated or truncated.
            - V(unassigned), no member reads the partition.
            - V(unknown_topic), the broker does not know the topic or the partition.
            - V(lso_blocked), an open transaction holds back readers of committed records.
          type: list
          elements: str
          sample: []
        status:
          description: With O(samples=2), the status of the partition as in C(trend); otherwise null.
          type: str
          sample: draining
        error:
          description: Why the offsets are not known, with C(code), C(name), C(retriable) and C(message), or null.
          type: dict
          sample: null
        member_id:
          description: The member that reads the partition.
          type: str
          sample: consumer-backoffice-1-6f2c
        group_instance_id:
          description: Its static id.
          type: str
          sample: null
        client_id:
          description: Its client id.
          type: str
          sample: consumer-backoffice-1
        host:
          description: The host it connects from.
          type: str
          sample: /10.0.0.7
        target_member:
          description: The member that is to read the partition (KIP-848 groups).
          type: str
          sample: null
"""

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_lag, operation

REQUIRES = ("confluent-kafka",)


def main() -> None:
    operation.main(kafka_lag.SPEC, kafka_lag.run, REQUIRES)


if __name__ == "__main__":
    main()
