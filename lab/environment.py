# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What another program needs to connect to the lab: the variables of ``lab env``."""

from __future__ import annotations

import shlex
from contextlib import suppress

from lab import flyway, jars, java, kafka, postgres, programs
from lab.layout import REPOSITORY, LabError, Paths, address, ports
from lab.probes import ACCOUNT


def variables(paths: Paths) -> dict[str, str]:
    """URLs, ports, credential files and tools by variable name. LabError when the lab was never started."""
    if not paths.supervisord_conf.exists():
        raise LabError("the lab was never started: there is nothing to connect to yet; start it with `make lab`")
    known = {
        "SRE_LAB_DIR": str(paths.root),
        "SRE_LAB_LOGS": str(paths.logs),
        "BACKOFFICE_URL": f"http://{address('backoffice')}",
        "BACKOFFICE_ACCOUNT_ID": ACCOUNT,
        "BACKOFFICE_LEDGER_PATH": str(paths.ledger),
        "BACKOFFICE_SNAPSHOT_PATH": str(paths.snapshot),
        "BACKOFFICE_COMMAND": shlex.join(["env", f"PYTHONPATH={REPOSITORY}", *programs.service_command("backoffice")]),
        "BACKOFFICE_REPLAY_PORT": str(ports()["replay"]),
        "GATEWAY_URL": f"http://{address('gateway')}",
        "JWT_HS256_SECRET_FILE": str(paths.secret_file("jwt_hs256_secret")),
        "KAFKA_BOOTSTRAP_SERVERS": address("kafka"),
        "KAFKA_SASL_BOOTSTRAP_SERVERS": address("kafka_sasl"),
        "KAFKA_SSL_BOOTSTRAP_SERVERS": address("kafka_ssl"),
        "KAFKA_TOPIC": kafka.TOPIC,
        "KAFKA_GROUP_ID": kafka.GROUP,
        "KAFKA_CA_FILE": str(paths.ca_file),
        "KAFKA_CREDENTIALS_DIR": str(paths.secrets),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(ports()["postgresql"]),
        "PGUSER": "postgres",
        "PGDATABASE": "backoffice",
        "PGPASSFILE": str(paths.secret_file("pgpass")),
        "LAB_MIGRATIONS": str(paths.migrations),
        "LAB_BACKUPS": str(paths.backups),
        "SUPERVISOR_SOCKET": str(paths.supervisor_sock),
        "SUPERVISOR_CONFIG": str(paths.supervisord_conf),
    }
    if paths.kubeconfig.exists():
        known["KUBECONFIG"] = str(paths.kubeconfig)
        known["HAFNIUM_URL"] = f"http://{address('ingress')}"
        known["HAFNIUM_TLS_ADDRESS"] = address("ingress_tls")
    engine = java.recorded(paths)
    if engine:
        known |= {"JAVA": str(engine), "KAFKA_LIBS": f"{jars.KAFKA.libs()}/*"}
    if flyway.launcher(paths).exists():
        known["FLYWAY"] = str(flyway.launcher(paths))
    with suppress(postgres.MissingPostgres):
        known["PSQL"] = str(postgres.wheel_bin() / "psql")
    return known


def exports(paths: Paths) -> str:
    """The variables as lines for a shell to evaluate."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables(paths).items())
