#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kafka_status
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Is Kafka up, and are the expected topics there
description:
  - Asks a Kafka cluster for its brokers, controller, topics and partitions, and judges them.
  - A cluster that cannot be reached fails; that is the observation. (The lag of a group is then merely unknown, see
    M(sre.runbooks.kafka_lag).)
  - Never creates a topic, even where the brokers create topics that are asked for.
  - Needs the ACL operation Describe on the topics. DescribeConfigs on the cluster and the topics is used where granted,
    for C(auto.create.topics.enable) and C(min.insync.replicas).
extends_documentation_fragment:
  - sre.runbooks.kafka
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  expected_brokers:
    description: Fewest brokers that must be in the cluster. By default they are not counted.
    type: int
  topics:
    description:
      - Topics that must exist, each as a name or as a dictionary.
      - A dictionary has C(name), C(min_partitions) (fewest partitions, by default 1) and C(min_in_sync_replicas)
        (fewest replicas in sync in each partition, by default the topic's own C(min.insync.replicas), where it may be
        read), and C(max_records) (most records that it may hold, such as V(0) for dead letters; by default not judged).
    type: list
    elements: raw
    default: []
  auto_create_topics:
    description:
      - Whether the brokers are expected to create a topic that is asked for and does not exist.
      - By default this is returned where it may be read, but not judged.
    type: bool
  end_offsets:
    description:
      - Whether to sum up the start and end offsets of O(topics), or of all topics that are not internal.
      - A sum of 0 shows that nothing was ever written to a topic. At most 20000 partitions are read.
    type: bool
    default: false
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
seealso:
  - module: sre.runbooks.kafka_lag
notes:
  - |
    Check ids: V(kafka.reachable), V(kafka.controller), V(kafka.brokers) (with O(expected_brokers)), C(topic.<topic>),
    V(kafka.leaders), V(kafka.replicas), V(kafka.auto_create_topics) (with O(auto_create_topics)),
    C(end_offsets.<topic>) (where they could not be read) and C(records.<topic>) (with C(max_records)).
  - "Causes of findings: V(kafka_unreachable), V(topic_missing) and V(partitions_offline), all seen."
"""

EXAMPLES = r"""
- name: Kafka is up and has its topics
  sre.runbooks.kafka_status:
    bootstrap_servers: [kafka-1:9092, kafka-2:9092]
    expected_brokers: 3
    topics:
      - name: events
        min_partitions: 3
        min_in_sync_replicas: 2

- name: Was anything ever written?
  sre.runbooks.kafka_status:
    bootstrap_servers: kafka-1:9092
    topics: [events]
    end_offsets: true
    auto_create_topics: false
  register: kafka
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
    - id: topic.events
      title: Topic events
      status: pass
      observed: 3 partitions, at least 1 replicas in sync
      expected: exists, at least 3 partitions
      hint: It exists and can be read; that anybody writes to it is not shown (see end_offsets).
      runbook: "5"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample:
    - cause: topic_missing
      confidence: seen
      evidence: [topic.evnts]
      affects: [evnts]
      next: null
cluster_id:
  description: Id of the cluster; null when it could not be reached.
  type: str
  returned: success
  sample: MkU3OEVBNTcwNTJENDM2Qg
controller:
  description: The controller as the brokers name it, with C(id), C(host) and C(port); null when not known.
  type: dict
  returned: success
  sample: {id: 1, host: kafka-1, port: 9092}
brokers:
  description: Brokers in the cluster, each with C(id), C(host) and C(port).
  type: list
  elements: dict
  returned: success
  sample: [{id: 1, host: kafka-1, port: 9092}]
topics:
  description:
    - The topics of O(topics) that exist. With O(end_offsets=true) and without O(topics), all that are not internal.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the topic.
      type: str
      sample: events
    partitions:
      description: Number of partitions.
      type: int
      sample: 3
    replication_factor:
      description: Replicas of the partition that has most.
      type: int
      sample: 3
    lowest_in_sync_replicas:
      description: Replicas in sync of the partition that has fewest.
      type: int
      sample: 3
    min_insync_replicas:
      description: The topic's C(min.insync.replicas); null when it may not be read.
      type: int
      sample: 2
    leaderless_partitions:
      description: Number of partitions without a leader.
      type: int
      sample: 0
    end_offset_sum:
      description: With O(end_offsets=true), sum of the high watermarks; null when one is not known.
      type: int
      sample: 120
    start_offset_sum:
      description: With O(end_offsets=true), sum of the log starts; null when one is not known.
      type: int
      sample: 0
topic_count:
  description: Number of topics that the user may see, internal ones too; null when the cluster could not be reached.
  type: int
  returned: success
  sample: 5
partition_count:
  description: Number of their partitions.
  type: int
  returned: success
  sample: 68
offline_partitions:
  description: The first 50 partitions without a leader.
  type: list
  elements: str
  returned: success
  sample: []
under_replicated_partitions:
  description: The first 50 partitions with a replica that is not in sync.
  type: list
  elements: str
  returned: success
  sample: []
auto_create_topics:
  description: Whether the brokers create topics that are asked for; null when it may not be read.
  type: bool
  returned: success
  sample: true
"""

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_status, operation

REQUIRES = ("confluent-kafka",)


def main() -> None:
    operation.main(kafka_status.SPEC, kafka_status.run, REQUIRES)


if __name__ == "__main__":
    main()
