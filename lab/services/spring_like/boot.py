# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of the service, and its deaths: each is logged as Spring Boot logs it."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from lab.services.spring_like import console
from lab.services.spring_like.pool import LOGGER, NAME, Pool
from lab.services.spring_like.settings import Settings

BOOT_VERSION = "3.5.16"
_APPLICATION = "o.s.boot.SpringApplication"
_CONTEXT = "ConfigServletWebServerApplicationContext"


class Dead(Exception):
    """The service does not start: `trace` is the stack trace, `analysis` a description and an action when Spring has one."""

    def __init__(self, trace: str, analysis: tuple[str, str] | None = None) -> None:
        super().__init__(trace)
        self.trace, self.analysis = trace, analysis


def start(settings: Settings) -> Pool | None:
    """Everything before the web server opens its port; the connection pool of a service with a database. Dead."""
    console.plain(f"\n :: Spring Boot ::               (v{BOOT_VERSION})\n")
    name = title(settings)
    console.info(f"dev.hafnium.{name}", f"Starting {name} v{settings.version} using Java 21.0.9")
    console.info(f"dev.hafnium.{name}", 'No active profile set, falling back to 1 default profile: "default"')
    time.sleep(settings.start_delay)
    if settings.required:
        raise Dead(_missing(settings.required[0]))
    pool = _database(settings)
    if settings.issuer:
        _ask(settings.issuer)
    elif not settings.jwk_set_uri:
        raise Dead(_NO_KEYS)
    if "crash" in settings.faults:
        raise Dead(_CRASH)
    return pool


def title(settings: Settings) -> str:
    """The class that holds the main method."""
    return "".join(part.capitalize() for part in settings.name.split("-")) + "Application"


def report(dead: Dead) -> None:
    """Log the end of a start that failed."""
    console.warn(
        _CONTEXT,
        f"Exception encountered during context initialization - cancelling refresh attempt: {dead.trace.splitlines()[0]}",
    )
    if dead.analysis is None:
        console.error(_APPLICATION, "Application run failed", dead.trace)
        return
    console.error(
        "o.s.b.d.LoggingFailureAnalysisReporter",
        "",
        "***************************\nAPPLICATION FAILED TO START\n***************************\n\n"
        f"Description:\n\n{dead.analysis[0]}\n\nAction:\n\n{dead.analysis[1]}\n",
    )


def port_in_use(port: int) -> Dead:
    return Dead(
        "org.springframework.context.ApplicationContextException: Failed to start bean 'webServerStartStop'",
        (
            f"Web server failed to start. Port {port} was already in use.",
            f"Identify and stop the process that's listening on port {port} or configure this application to listen on another port.",
        ),
    )


def _database(settings: Settings) -> Pool | None:
    if settings.datasource is None:
        return None
    import psycopg2

    try:
        pool = Pool(
            settings.datasource,
            settings.user,
            settings.password,
            settings.pool_size,
            settings.idle,
            settings.connection_timeout,
        )
    except ValueError:
        raise Dead(
            "org.springframework.beans.factory.BeanCreationException: Error creating bean with name 'dataSource'",
            (
                "Failed to configure a DataSource: 'url' attribute is not specified and no embedded datasource could be"
                " configured.\n\nReason: Failed to determine a suitable driver class",
                "Consider the following:\n\tIf you want an embedded database (H2, HSQL or Derby), please put it on the classpath.",
            ),
        ) from None
    try:
        pool.fill()
    except psycopg2.OperationalError as error:
        trace = _refused(settings.datasource, settings.user, str(error))
        console.error(LOGGER, f"{NAME} - Exception during pool initialization.", trace)
        raise Dead(_bean("entityManagerFactory", "Unable to open JDBC Connection for DDL execution", trace)) from None
    return pool


def _refused(url: str, user: str, reason: str) -> str:
    """What PostgreSQL's driver says about a connection that could not be made."""
    server = url.removeprefix("jdbc:postgresql://").partition("/")[0]
    host, _, port = server.partition(":")
    if "could not translate host name" in reason:
        return _trace(
            "org.postgresql.util.PSQLException: The connection attempt failed.",
            f"java.net.UnknownHostException: {host}",
        )
    if "authentication failed" in reason:
        return _trace(f'org.postgresql.util.PSQLException: FATAL: password authentication failed for user "{user}"')
    if "FATAL:" in reason:
        return _trace(
            f"org.postgresql.util.PSQLException: FATAL: {reason.partition('FATAL:')[2].strip().splitlines()[0]}"
        )
    if "timeout" in reason:
        return _trace(
            "org.postgresql.util.PSQLException: The connection attempt failed.",
            "java.net.SocketTimeoutException: Connect timed out",
        )
    return _trace(
        f"org.postgresql.util.PSQLException: Connection to {host}:{port or 5432} refused. Check that the hostname and port are"
        " correct and that the postmaster is accepting TCP/IP connections.",
        "java.net.ConnectException: Connection refused",
    )


def _trace(first: str, cause: str = "") -> str:
    text = (
        f"{first}\n"
        "\tat org.postgresql.core.v3.ConnectionFactoryImpl.openConnectionImpl(ConnectionFactoryImpl.java:352)\n"
        "\tat org.postgresql.jdbc.PgConnection.<init>(PgConnection.java:273)\n"
        "\tat com.zaxxer.hikari.pool.PoolBase.newConnection(PoolBase.java:373)\n"
        "\tat com.zaxxer.hikari.pool.HikariPool.checkFailFast(HikariPool.java:560)"
    )
    return f"{text}\nCaused by: {cause}\n\tat java.base/sun.nio.ch.Net.pollConnect(Native Method)" if cause else text


def _bean(name: str, message: str, cause: str) -> str:
    return (
        f"org.springframework.beans.factory.BeanCreationException: Error creating bean with name '{name}': {message}\n"
        "\tat org.springframework.beans.factory.support.AbstractAutowireCapableBeanFactory.initializeBean"
        "(AbstractAutowireCapableBeanFactory.java:1826)\n"
        "\tat org.springframework.boot.SpringApplication.run(SpringApplication.java:318)\n"
        f"Caused by: {cause}"
    )


def _missing(name: str) -> str:
    return _bean(
        "hafniumProperties",
        "Injection of autowired dependencies failed",
        f"org.springframework.util.PlaceholderResolutionException: Could not resolve placeholder '{name}' in value"
        f' "${{{name}}}"\n'
        "\tat org.springframework.util.PlaceholderResolutionException.withValue(PlaceholderResolutionException.java:81)",
    )


def _ask(issuer: str) -> None:
    """The issuer has to answer during the start. Dead when it does not."""
    place = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    url = urlsplit(issuer)
    try:
        with socket.create_connection((url.hostname or "localhost", url.port or 80), timeout=3):
            return
    except OSError as error:
        reason = "Connection refused" if isinstance(error, ConnectionRefusedError) else str(error)
        raise Dead(
            _bean(
                "jwtDecoder",
                "Failed to instantiate [org.springframework.security.oauth2.jwt.JwtDecoder]",
                "java.lang.IllegalArgumentException: Unable to resolve the Configuration with the provided Issuer of"
                f' "{issuer}"\n'
                "\tat org.springframework.security.oauth2.jwt.JwtDecoderProviderConfigurationUtils.getConfiguration"
                "(JwtDecoderProviderConfigurationUtils.java:177)\n"
                "Caused by: org.springframework.web.client.ResourceAccessException: I/O error on GET request for"
                f' "{place}": {reason}\n'
                f"Caused by: java.net.ConnectException: {reason}",
            )
        ) from None


_NO_KEYS = _bean(
    "jwtDecoder",
    "Failed to instantiate [org.springframework.security.oauth2.jwt.JwtDecoder]: Factory method 'jwtDecoder' threw"
    " exception with message: jwkSetUri cannot be empty",
    "java.lang.IllegalArgumentException: jwkSetUri cannot be empty\n"
    "\tat org.springframework.util.Assert.hasText(Assert.java:240)\n"
    "\tat org.springframework.security.oauth2.jwt.NimbusJwtDecoder.withJwkSetUri(NimbusJwtDecoder.java:251)",
)
_CRASH = _bean(
    "ruleEngine",
    "Invocation of init method failed",
    "java.lang.IllegalStateException: Rule set is not sorted by priority\n"
    "\tat dev.hafnium.rules.RuleEngine.load(RuleEngine.java:71)",
)
