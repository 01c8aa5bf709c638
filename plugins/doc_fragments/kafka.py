# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The attribute replaces that of sre.runbooks.attributes where this fragment stands before it.
    DOCUMENTATION = r"""
attributes:
  action_group:
    description:
      - Use C(group/sre.runbooks.kafka) in C(module_defaults) to say once how all Kafka modules connect.
      - C(group/sre.runbooks.runbooks) is every module of the collection, for tools that list them. These have no option
        in common.
    support: full
    membership:
      - sre.runbooks.kafka
      - sre.runbooks.runbooks
options:
  bootstrap_servers:
    description:
      - Brokers to start from, each as C(host:port). One that answers is enough.
      - If not set, the environment variable E(KAFKA_BOOTSTRAP_SERVERS) (separated by commas) is used.
    type: list
    elements: str
    required: true
  security_protocol:
    description: How the listener at O(bootstrap_servers) is spoken to.
    type: str
    choices: [PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL]
    default: PLAINTEXT
  sasl_mechanism:
    description: SASL mechanism; required with a V(SASL_*) value of O(security_protocol).
    type: str
    choices: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]
  sasl_username:
    description:
      - User name; required with a V(SASL_*) value of O(security_protocol).
      - If not set, the environment variable E(KAFKA_SASL_USERNAME) is used.
    type: str
  sasl_password:
    description:
      - Password; required with a V(SASL_*) value of O(security_protocol).
      - If not set, the environment variable E(KAFKA_SASL_PASSWORD) is used.
    type: str
  ssl_ca_path:
    description:
      - File (PEM) or directory with the certificates that the brokers' certificates are verified against.
      - The system's certificates are used when it is not set.
    type: path
  ssl_certificate_path:
    description: File (PEM) with the client's own certificate, where the brokers ask for one.
    type: path
  ssl_key_path:
    description: File (PEM) with the key of O(ssl_certificate_path).
    type: path
  ssl_key_password:
    description: Password of O(ssl_key_path), where it has one.
    type: str
  ssl_endpoint_identification:
    description: Whether the broker's certificate must be issued for the host name that is connected to.
    type: bool
    default: true
  connect_timeout_seconds:
    description: Longest time for one broker to accept a connection, in seconds, 1 to 3600.
    type: float
    default: 5
  request_timeout_seconds:
    description: Longest time for one request, in seconds, 1 to 3600.
    type: float
    default: 10
  timeout:
    description: Longest time for the whole task, in seconds, 1 to 3600.
    type: float
    default: 60
requirements:
  - confluent-kafka >= 2.6 (Python)
notes:
  - The Kafka client runs in a process of its own. An abort in its C code becomes a check that could not be verified.
"""
