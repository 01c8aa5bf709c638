# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection options: what becomes of them, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.sre.runbooks.plugins.doc_fragments.kafka import ModuleDocFragment
from ansible_collections.sre.runbooks.plugins.module_utils import kafka_connection
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError

SASL = {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "swordfish"}


def validate(**given: Any) -> tuple[dict[str, Any], list[str]]:
    spec = kafka_connection.SPEC.module_arguments()
    result = ArgumentSpecValidator(**spec).validate({"bootstrap_servers": ["k:9092"], **given})
    return result.validated_parameters, result.error_messages


def settings(**given: Any) -> dict[str, Any]:
    params, errors = validate(**given)
    assert not errors
    return kafka_connection.configuration(params)


def test_plaintext() -> None:
    found = settings(bootstrap_servers="a:1, b:2,a:01")
    assert found["bootstrap.servers"] == "a:1,b:2"
    assert found["security.protocol"] == "PLAINTEXT"
    assert not [name for name in found if name.startswith(("sasl.", "ssl."))]


def test_milliseconds() -> None:
    found = settings(connect_timeout_seconds=2.5, request_timeout_seconds=7)
    assert (found["socket.connection.setup.timeout.ms"], found["socket.timeout.ms"]) == (2500, 7000)


def test_sasl_over_tls_verifies_by_default(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x", encoding="utf-8")
    found = settings(security_protocol="SASL_SSL", ssl_ca_path=str(ca), **SASL)
    assert found["ssl.endpoint.identification.algorithm"] == "https"
    assert found["ssl.ca.location"] == str(ca)
    assert (found["sasl.mechanism"], found["sasl.username"], found["sasl.password"]) == ("PLAIN", "u", "swordfish")
    loose = settings(security_protocol="SSL", ssl_endpoint_identification="no")
    assert loose["ssl.endpoint.identification.algorithm"] == "none"


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_sasl_needs_its_options(protocol: str) -> None:
    _params, errors = validate(security_protocol=protocol, sasl_username="u")
    assert "sasl_mechanism, sasl_password" in errors[0]


def test_certificate_needs_its_key() -> None:
    _params, errors = validate(security_protocol="SSL", ssl_certificate_path="/x")
    assert "ssl_key_path" in errors[0]


@pytest.mark.parametrize("variable", ["a:1,b:2", "a:1, b:2"])
def test_servers_from_the_environment(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", variable)
    result = ArgumentSpecValidator(**kafka_connection.SPEC.module_arguments()).validate({})
    assert kafka_connection.configuration(result.validated_parameters)["bootstrap.servers"] == "a:1,b:2"


def test_servers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    result = ArgumentSpecValidator(**kafka_connection.SPEC.module_arguments()).validate({})
    assert "bootstrap_servers" in result.error_messages[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bootstrap_servers": ["kafka"]}, "'kafka' is not host:port"),
        ({"bootstrap_servers": ["http://kafka:9092"]}, "looks like a URL"),
        ({"bootstrap_servers": ["kafka:0"]}, "between 1 and 65535"),
        ({"bootstrap_servers": ["kafka:99999"]}, "between 1 and 65535"),
        ({"bootstrap_servers": ["a b:1"]}, "not host:port"),
        ({"bootstrap_servers": ""}, "not host:port"),
        ({"bootstrap_servers": []}, "bootstrap_servers is empty"),
        ({"timeout": 0}, "timeout is 0; it must be between 1 and 3600"),
        ({"connect_timeout_seconds": 0.5}, "connect_timeout_seconds is 0.5"),
        ({"request_timeout_seconds": 99999}, "request_timeout_seconds is 99999"),
        ({"ssl_ca_path": "/no/such/ca.pem"}, "ssl_ca_path: /no/such/ca.pem does not exist"),
    ],
)
def test_wrong_option_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings(**given)


def test_ipv6() -> None:
    assert settings(bootstrap_servers=["[::1]:9092"])["bootstrap.servers"] == "[::1]:9092"


def test_fragment_documents_the_options() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    specified = kafka_connection.SPEC.options
    assert set(documented) == set(specified)
    for name, option in specified.items():
        for key in ("type", "elements", "choices"):
            assert documented[name].get(key) == option.get(key), (name, key)
        assert documented[name].get("default") == option.get("default"), name
        assert bool(documented[name].get("required")) == bool(option.get("required")), name


def test_secrets_are_censored() -> None:
    secret = {name for name, option in kafka_connection.SPEC.options.items() if option.get("no_log")}
    assert secret == {"sasl_password", "ssl_key_password"}
