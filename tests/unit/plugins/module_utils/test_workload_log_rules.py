# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What logs mean: whole recorded boots of a Spring Boot 3.5 service, and single texts of other programs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import log_failures
from ansible_collections.sre.runbooks.plugins.module_utils import workload_log_rules as rules
from ansible_collections.sre.runbooks.plugins.module_utils.workload_causes import ABOUT

LOGS = Path(__file__).parents[3] / "fixtures" / "logs"

RECORDED = {
    "spring_database_refused": ("database_refused", "the database at 127.0.0.1:1 refuses connections"),
    "spring_database_auth_failed": ("database_auth_failed", "the database does not accept the login of user hafnium"),
    "spring_database_missing": ("database_missing", "the database nothing does not exist"),
    "spring_database_unknown_host": (
        "database_unknown_host",
        "the database host postgres.hafnium-data has no address",
    ),
    "spring_flyway_duplicate": ("flyway_failed", "Flyway found more than one migration with version 1"),
    "spring_flyway_broken": (
        "flyway_failed",
        'Flyway\'s migration V1__broken.sql failed: ERROR: relation "nowhere" does not exist',
    ),
    "spring_keycloak": (
        "keycloak_unreachable",
        "the token server at http://127.0.0.1:1/realms/hafnium does not answer",
    ),
    "spring_placeholder": ("config_missing", "JWT_JWK_SET_URI is not set"),
    "spring_bad_url": ("database_url_invalid", "the database URL is none that a driver takes"),
    "spring_port_in_use": ("port_in_use", "its port 5432 is held by another process of the pod"),
    "spring_heap": (
        "heap_exhausted",
        "the process ran out of memory of its own (Java heap space) within the container's limit",
    ),
}


def read(log: str) -> list[rules.Reading]:
    lines = log_failures.lines_of(log)
    return rules.read(log_failures.statements(lines), len(lines))


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_boots(name: str) -> None:
    (found,) = read((LOGS / f"{name}.log").read_text())
    assert (found.cause, found.text, found.sure) == (*RECORDED[name], True)


def test_a_validation_that_fails() -> None:
    (found,) = read((LOGS / "spring_flyway_checksum.log").read_text())
    assert found.cause == "flyway_failed"
    assert found.text.startswith("Flyway's validation failed: Migration checksum mismatch for migration version 1 ->")
    assert "Learn more" not in found.text


def test_a_boot_that_went_well_has_no_cause() -> None:
    assert read((LOGS / "spring_started.log").read_text()) == []


# The text of one error line or exception (with its context, where it takes one), and the cause.
TEXTS = [
    (
        'psycopg2.OperationalError: connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused',
        "database_refused",
    ),
    (
        'psycopg2.OperationalError: could not translate host name "db" to address: Name or service not known',
        "database_unknown_host",
    ),
    ('psycopg2.OperationalError: connection to server at "db", port 5432 failed: timeout expired', "database_timeout"),
    ("ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)", "database_refused"),
    ("Error: connect ECONNREFUSED 127.0.0.1:5432", "database_refused"),
    ("Error: connect ECONNREFUSED ::1:5432", "database_refused"),
    ("Error: connect ECONNREFUSED 127.0.0.1:6379", "redis_unreachable"),
    ("Error: connect ECONNREFUSED 127.0.0.1:9092", "kafka_unreachable"),
    ("Error: connect ECONNREFUSED 127.0.0.1:8443", "connection_refused"),
    ("panic: dial tcp 10.0.0.1:5432: connect: connection refused", "database_refused"),
    (
        "FATAL: remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "database_connections_exhausted",
    ),
    ("FATAL: the database system is starting up", "database_starting"),
    (
        'FATAL: no pg_hba.conf entry for host "10.0.0.9", user "hafnium", database "hafnium", no encryption',
        "database_auth_failed",
    ),
    ("Access denied for user 'hafnium'@'10.0.0.9' (using password: YES)", "database_auth_failed"),
    (
        "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30000ms "
        "(total=10, active=10, idle=0, waiting=4)",
        "connection_pool_exhausted",
    ),
    (
        "java.sql.SQLTransientConnectionException: HikariPool-1 - Connection is not available, request timed out after 30000ms "
        "(total=0, active=0, idle=0, waiting=0)",
        "database_refused",
    ),
    ("Driver org.postgresql.Driver claims to not accept jdbcUrl, ${SPRING_DATASOURCE_URL}", "database_url_invalid"),
    (
        "Failed to configure a DataSource: 'url' attribute is not specified and no embedded datasource could be configured.",
        "config_missing",
    ),
    (
        'Found non-empty schema(s) "public" but no schema history table. Use baseline() or set baselineOnMigrate',
        "flyway_failed",
    ),
    ("Schema-validation: missing table [accounts]", "schema_mismatch"),
    (
        "java.lang.IllegalStateException: spring.security.oauth2.resourceserver.jwt.jwk-set-uri must be configured",
        "jwk_set_uri_missing",
    ),
    (
        "Could not resolve placeholder 'spring.security.oauth2.resourceserver.jwt.jwk-set-uri' in value \"${x}\"",
        "jwk_set_uri_missing",
    ),
    ("java.lang.IllegalArgumentException: jwkSetUri cannot be empty", "jwk_set_uri_missing"),
    (
        "Parameter 0 of method filterChain required a bean of type 'org.springframework.security.oauth2.jwt.JwtDecoder' that could "
        "not be found.",
        "jwk_set_uri_missing",
    ),
    (
        'The Issuer "http://a/realms/h" provided in the configuration did not match the requested issuer "http://b"',
        "issuer_mismatch",
    ),
    (
        "An error occurred while attempting to decode the Jwt: Couldn't retrieve remote JWK set: Connection refused",
        "keycloak_unreachable",
    ),
    ("KeyError: 'DATABASE_URL'", "config_missing"),
    ("Error: Missing required environment variable: JWT_SECRET", "config_missing"),
    ("error: environment variable API_BASE_URL is not set", "config_missing"),
    ("/entrypoint.sh: line 3: DB_HOST: unbound variable", "config_missing"),
    (
        "Failed to bind properties under 'server.port' to java.lang.Integer: Property: server.port Value: \"http\"",
        "config_invalid",
    ),
    (
        "org.apache.kafka.common.config.ConfigException: No resolvable bootstrap urls given in bootstrap.servers",
        "kafka_unreachable",
    ),
    (
        "org.apache.kafka.common.config.ConfigException: Invalid value x for configuration acks: must be one of",
        "config_invalid",
    ),
    (
        "Connection to node -1 (redpanda.hafnium-data/10.0.0.3:9092) could not be established. Node may not be available.",
        "kafka_unreachable",
    ),
    ("org.apache.kafka.common.errors.SaslAuthenticationException: Authentication failed", "kafka_auth_failed"),
    (
        "org.apache.kafka.common.errors.TimeoutException: Topic hf.txn.v1 not present in metadata after 60000 ms.",
        "kafka_topic_missing",
    ),
    ("kafka.errors.NoBrokersAvailable: NoBrokersAvailable", "kafka_unreachable"),
    (
        "io.lettuce.core.RedisConnectionException: Unable to connect to redis.hafnium-data/<unresolved>:6379",
        "redis_unreachable",
    ),
    (
        "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
        "redis_unreachable",
    ),
    ("NOAUTH Authentication required", "redis_auth_failed"),
    ("Web server failed to start. Port 8080 was already in use.", "port_in_use"),
    ("Error: listen EADDRINUSE: address already in use :::3000", "port_in_use"),
    ("OSError: [Errno 98] Address already in use", "port_in_use"),
    ("java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory", "threads_exhausted"),
    ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "heap_exhausted"),
    ("java.io.IOException: No space left on device", "disk_full"),
    ("OSError: [Errno 30] Read-only file system: '/app/cache'", "read_only_filesystem"),
    ("java.nio.file.AccessDeniedException: /var/data/index", "permission_denied"),
    ("PermissionError: [Errno 13] Permission denied: '/data/ledger.log'", "permission_denied"),
    ("exec /usr/local/bin/server: exec format error", "wrong_architecture"),
    ('exec: "java2": executable file not found in $PATH: unknown', "command_not_found"),
    ("/bin/sh: 1: gunicorn: not found", "command_not_found"),
    ("Error: Unable to access jarfile /app/app-SNAPSHOT.jar", "artifact_missing"),
    ("no main manifest attribute, in /app/app.jar", "artifact_missing"),
    (
        "java.lang.UnsupportedClassVersionError: dev/hafnium/App has been compiled by a more recent version",
        "java_version",
    ),
    ("Unrecognized VM option 'UseConcMarkSweepGC'", "jvm_options_invalid"),
    ("ModuleNotFoundError: No module named 'psycopg2'", "code_missing"),
    ("Error: Cannot find module 'express'", "code_missing"),
    ("java.lang.NoClassDefFoundError: org/springframework/boot/SpringApplication", "code_missing"),
    ("sun.security.provider.certpath.SunCertPathBuilderException: PKIX path building failed", "tls_untrusted"),
    ("Error: certificate has expired", "certificate_expired"),
    (
        "The bean 'securityConfig', defined in class path resource [a.class], could not be registered. A bean with that name has "
        "already been defined",
        "bean_failed",
    ),
    (
        "ConflictingBeanDefinitionException: Annotation-specified bean name 'securityConfig' for bean class [a.B] conflicts with "
        "existing, non-compatible bean definition",
        "bean_failed",
    ),
    ("Parameter 0 of constructor in a.B required a bean of type 'a.Clock' that could not be found.", "bean_failed"),
    ("The dependencies of some of the beans in the application context form a cycle:", "bean_failed"),
    ("java.net.UnknownHostException: opa.hafnium-infra", "host_unknown"),
]


@pytest.mark.parametrize(("text", "cause"), TEXTS, ids=[text[:60] for text, _cause in TEXTS])
def test_single_texts(text: str, cause: str) -> None:
    statement = log_failures.Statement("error", text, 0)
    (found,) = rules.read([statement], 1)
    assert found.cause == cause
    assert "{" not in found.text
    assert "[[" not in found.text


def test_every_rule_names_a_known_cause_and_only_its_own_groups() -> None:
    for rule in rules.RULES:
        assert rule.cause in ABOUT, rule.cause
        given = {name for pattern in rule.patterns for name in pattern.groupindex}
        assert set(re.findall(r"\{(\w+)\}", rule.says)) <= given, rule.says


def test_names_outside_brackets_are_given_by_every_pattern() -> None:
    """Otherwise the sentence would have a hole."""
    for rule in rules.RULES:
        always = set(re.findall(r"\{(\w+)\}", re.sub(r"\[\[.*?\]\]", "", rule.says)))
        for pattern in rule.patterns:
            assert always <= set(pattern.groupindex), (rule.says, pattern.pattern)


def test_the_deepest_exception_that_says_something_counts() -> None:
    log = (
        "2026-01-31T03:00:00Z ERROR main Application run failed\n\n"
        "org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'x': nested\n"
        "\tat a.B.c(B.java:1)\n"
        "Caused by: org.postgresql.util.PSQLException: The connection attempt failed.\n\tat a.B.c(B.java:1)\n"
        "Caused by: java.net.UnknownHostException: db.internal\n\tat a.B.c(B.java:1)\n\t... 3 more\n"
    )
    (found,) = read(log)
    assert (found.cause, found.values["host"]) == ("database_unknown_host", "db.internal")


def test_a_host_without_address_belongs_to_what_was_called() -> None:
    cause = "Caused by: java.net.UnknownHostException: broker\n\tat a.B.c(B.java:1)\n"
    frame = "\tat a.B.c(B.java:1)\n"
    kafka = read(f"org.apache.kafka.common.KafkaException: Failed to construct kafka consumer\n{frame}{cause}")
    other = read(f"java.lang.IllegalStateException: cannot start\n{frame}{cause}")
    token = read(
        f"java.lang.IllegalArgumentException: Unable to resolve the Configuration with the provided Issuer\n{frame}{cause}"
    )
    assert [kafka[0].cause, other[0].cause, token[0].cause] == [
        "kafka_unreachable",
        "host_unknown",
        "keycloak_unreachable",
    ]


def test_an_exception_that_no_rule_knows_is_told_and_what_came_before_is_a_guess() -> None:
    log = (
        "2026-01-31T03:00:00Z ERROR kafka Connection to node -1 (localhost/127.0.0.1:9092) could not be established.\n"
        "2026-01-31T03:00:01Z ERROR main Application run failed\n\n"
        "java.lang.IllegalStateException: the moon is full\n\tat a.B.c(B.java:1)\n"
    )
    first, second = read(log)
    assert (first.cause, first.sure) == ("unhandled_exception", False)
    assert "the moon is full" in first.text
    assert (second.cause, second.sure) == ("kafka_unreachable", False)


def test_a_warning_is_a_guess() -> None:
    (found,) = read(
        "2026-01-31T03:00:00Z WARN kafka Connection to node -1 (localhost/127.0.0.1:9092) could not be established.\n"
    )
    assert (found.cause, found.sure) == ("kafka_unreachable", False)


def test_the_bean_that_fails_is_told_with_its_reason() -> None:
    frame = "\tat a.B.c(B.java:1)\n"
    log = (
        f"org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'ruleEngine': failed\n{frame}"
        f"Caused by: java.lang.IllegalStateException: Rule set is not sorted\n{frame}"
    )
    (found,) = read(log)
    assert found.text == "the bean ruleEngine cannot be made: java.lang.IllegalStateException: Rule set is not sorted"


def test_secrets_are_not_quoted() -> None:
    (found,) = read("Error: Driver x claims to not accept jdbcUrl, jdbc:postgresql://db/h?user=a&password=hunter22\n")
    assert found.cause == "database_url_invalid"
    assert "hunter22" not in found.statement.shown()
    assert "hunter22" not in str(found.values)


def test_values_with_braces_stay_as_they_are() -> None:
    assert rules.filled("it is {name}[[ at {where}]]", {"name": "${secret.name}"}) == "it is ${secret.name}"
