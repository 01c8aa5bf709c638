# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flyway itself as the tests' second opinion: one Java that is asked as often as one likes.

    with Oracle() as flyway:
        flyway.info({"url": "jdbc:postgresql://...", "user": "...", "password": "...", "locations": "filesystem:sql"})

Settings bear Flyway's own names without ``flyway.``; answers are what the command line prints as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lab import jars, java
from lab.layout import LabError, paths


class Oracle:
    """A running Java with Flyway in it. Python reaches its objects over loopback, with a secret of their own."""

    def __enter__(self) -> Oracle:
        from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
        from py4j.protocol import Py4JError

        where = paths()
        where.run.mkdir(parents=True, exist_ok=True)
        engine = java.recorded(where) or java.ensure(where)
        try:
            port, token = launch_gateway(
                classpath=f"{jars.FLYWAY.ensure()}/*",
                javaopts=list(java.QUICK_START),
                java_path=str(engine),
                die_on_exit=True,
                enable_auth=True,
            )
        except (Py4JError, OSError, ValueError) as error:
            raise LabError(f"flyway: its Java ({engine}) could not be started: {error}") from None
        self._gateway = JavaGateway(
            gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True)
        )
        self._jvm = self._gateway.jvm
        self._mapper = self._jvm.tools.jackson.databind.json.JsonMapper.builder().build()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        process = self._gateway.java_process
        self._gateway.shutdown()
        if process:
            process.wait(timeout=20)

    def info(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """``flyway info``: flywayVersion, database, schemaName, allSchemasEmpty, migrations; or ``error``."""
        return self._ask(settings, lambda flyway: flyway.info().getInfoResult())

    def validate(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """``flyway validate``: validationSuccessful, invalidMigrations, errorDetails; or ``error``."""
        return self._ask(settings, lambda flyway: flyway.validateWithResult())

    def migrate(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """``flyway migrate``: migrations, migrationsExecuted; or ``error``."""
        return self._ask(settings, lambda flyway: flyway.migrate())

    def repair(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """``flyway repair``: migrationsRemoved, migrationsDeleted, migrationsAligned; or ``error``."""
        return self._ask(settings, lambda flyway: flyway.repair())

    def baseline(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """``flyway baseline``: baselineVersion, successfullyBaselined; or ``error``."""
        return self._ask(settings, lambda flyway: flyway.baseline())

    def checksum(self, script: Path, encoding: str = "UTF-8") -> int:
        """What Flyway would write into the history for a versioned migration: a signed number of 32 bits."""
        resource = self._jvm.org.flywaydb.core.internal.resource.filesystem.FileSystemResource(
            None, str(script), self._jvm.java.nio.charset.Charset.forName(encoding), False, False
        )
        resources = self._gateway.new_array(self._jvm.org.flywaydb.core.api.resource.LoadableResource, 1)
        resources[0] = resource
        return int(self._jvm.org.flywaydb.core.internal.resolver.ChecksumCalculator.calculate(resources))

    def order(self, one: str, other: str) -> int:
        """-1, 0 or 1: how Flyway orders two versions. ValueError when it does not take one of them."""
        from py4j.protocol import Py4JJavaError

        version = self._jvm.org.flywaydb.core.api.MigrationVersion
        try:
            compared = int(version.fromVersion(one).compareTo(version.fromVersion(other)))
        except Py4JJavaError as error:
            raise ValueError(str(error.java_exception.getMessage())) from None
        return (compared > 0) - (compared < 0)

    def _ask(self, settings: Mapping[str, str], question: Any) -> dict[str, Any]:
        from py4j.protocol import Py4JJavaError

        try:
            flyway = (
                self._jvm.org.flywaydb.core.Flyway.configure()
                .configuration({f"flyway.{name}": value for name, value in settings.items()})
                .load()
            )
            answer: dict[str, Any] = json.loads(self._mapper.writeValueAsString(question(flyway)))
        except Py4JJavaError as error:
            problem = error.java_exception
            code = problem.getErrorCode().toString() if hasattr(problem, "getErrorCode") else "FAULT"
            return {"error": {"errorCode": str(code), "message": str(problem.getMessage())}}
        return answer
