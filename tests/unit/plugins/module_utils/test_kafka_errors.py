# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What librdkafka says, in plain words; the texts are recorded from librdkafka 2.16 against real brokers."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_errors


@pytest.mark.parametrize(
    ("text", "broker", "meaning", "final"),
    [
        (
            "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state "
            "CONNECT)",
            "127.0.0.1:1",
            "nothing listens there",
            False,
        ),
        (
            "nosuch.invalid:9092/bootstrap: Failed to resolve 'nosuch.invalid:9092': Name or service not known "
            "(after 1ms in state CONNECT)",
            "nosuch.invalid:9092",
            "cannot be resolved",
            False,
        ),
        (
            "127.0.0.1:9094/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN "
            "(after 1ms in state APIVERSION_QUERY)",
            "127.0.0.1:9094",
            "security_protocol does not fit",
            False,
        ),
        (
            "ssl://127.0.0.1:9092/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: "
            "connecting to a PLAINTEXT broker listener? (after 2ms in state SSL_HANDSHAKE)",
            "127.0.0.1:9092",
            "does not speak TLS",
            False,
        ),
        (
            "sasl_plaintext://127.0.0.1:9092/bootstrap: SASL SCRAM-SHA-512 mechanism handshake failed: Broker: Request "
            "not valid in current SASL state: broker's supported mechanisms:  (after 0ms in state AUTH_HANDSHAKE)",
            "127.0.0.1:9092",
            "does not use SASL",
            True,
        ),
        (
            "sasl_plaintext://kafka-1:9093/bootstrap: SASL authentication error: Authentication failed: Invalid "
            "username or password (after 301ms in state AUTH_REQ)",
            "kafka-1:9093",
            "SASL authentication failed",
            True,
        ),
        (
            "sasl_plaintext://kafka-1:9093/1: SASL SCRAM-SHA-256 mechanism handshake failed: Broker: Unsupported SASL "
            "mechanism: broker's supported mechanisms: PLAIN,SCRAM-SHA-512 (after 300ms in state AUTH_HANDSHAKE)",
            "kafka-1:9093",
            "does not offer this sasl_mechanism",
            True,
        ),
        (
            "sasl_ssl://kafka-1:9094/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify "
            "failed: broker certificate could not be verified, verify that ssl.ca.location is correctly configured or "
            "root CA certificates are installed (install ca-certificates package) (after 13ms in state SSL_HANDSHAKE)",
            "kafka-1:9094",
            "ssl_ca_path",
            True,
        ),
        (
            "127.0.0.1:8080/bootstrap: Connection setup timed out in state APIVERSION_QUERY (after 2000ms in state "
            "APIVERSION_QUERY)",
            "127.0.0.1:8080",
            "not set up in time",
            False,
        ),
        (
            "10.0.0.1:80/bootstrap: Receive failed: Invalid response size 1213486160 (0..100000000): increase "
            "receive.message.max.bytes (after 1ms in state UP)",
            "10.0.0.1:80",
            "does not speak Kafka's protocol",
            False,
        ),
        ("[::1]:9092/2: 3 request(s) timed out: disconnect (after 9ms in state UP)", "[::1]:9092", "in time", False),
        ("kafka-1:9092/1: something new (after 9ms in state UP)", "kafka-1:9092", "something new", False),
    ],
)
def test_trouble_of_a_broker(text: str, broker: str, meaning: str, final: bool) -> None:
    trouble = kafka_errors.trouble(text)
    assert trouble is not None
    assert (trouble.broker, trouble.final) == (broker, final)
    assert trouble.text.startswith(f"{broker}: ")
    assert meaning in trouble.text
    assert "in state" not in trouble.text.replace("in state APIVERSION_QUERY)", "")


@pytest.mark.parametrize("text", ["1/1 brokers are down", "", "Local: All broker connections are down"])
def test_text_that_is_not_about_one_broker(text: str) -> None:
    assert kafka_errors.trouble(text) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("GROUP_AUTHORIZATION_FAILED", "Describe on Group 'orders'"),
        ("TOPIC_AUTHORIZATION_FAILED", "Describe on Topic 'orders'"),
        ("CLUSTER_AUTHORIZATION_FAILED", "Describe on Cluster "),
        ("COORDINATOR_LOAD_IN_PROGRESS", "run it again"),
        ("_TIMED_OUT", "orders: it took long (_TIMED_OUT)"),
    ],
)
def test_explanation_names_the_missing_acl_or_what_to_do(name: str, words: str) -> None:
    assert words in kafka_errors.explain(kafka_errors.error(name, "it took long"), "orders")


@pytest.mark.parametrize(
    ("name", "retriable"), [("NOT_COORDINATOR", True), ("REBALANCE_IN_PROGRESS", True), ("GROUP_ID_NOT_FOUND", False)]
)
def test_error_as_data(name: str, retriable: bool) -> None:
    assert kafka_errors.error(name, "text\x07 password=hunter2", code=99) == {
        "code": 99,
        "name": name,
        "retriable": retriable,
        "message": "text\ufffd password=[redacted]",
    }
