# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's secrets: made at the first start, one file each, readable by their owner only."""

from __future__ import annotations

import secrets

from lab.layout import Paths, ports, write_private

KAFKA_USERS = {
    "admin": "kafka_admin_password",
    "lag-reader": "kafka_lag_reader_password",
    "no-acl": "kafka_no_acl_password",
}
# User of the Kubernetes API -> secret with the token that logs it in
KUBERNETES_USERS = {
    "admin": "kube_admin_token",
    "sre-runbooks": "kube_sre_runbooks_token",
    "sre-narrow": "kube_sre_narrow_token",
    "system:kube-controller-manager": "kube_controller_manager_token",
    "system:kube-scheduler": "kube_scheduler_token",
    "kwok": "kube_kwok_token",
    "runner": "kube_runner_token",
}
# Role of PostgreSQL beside the superuser -> secret with its password
DATABASE_USERS = {
    "backoffice": "backoffice_db_password",
    "hafnium": "hafnium_db_password",
    "customer_user": "customer_db_password",
    "order_user": "order_db_password",
    "sre_runbooks": "sre_runbooks_db_password",
}
NAMES = (
    "jwt_hs256_secret",
    "postgres_password",
    *DATABASE_USERS.values(),
    *KAFKA_USERS.values(),
    *KUBERNETES_USERS.values(),
)


def ensure(paths: Paths) -> None:
    """Make the secrets that are missing, and the password file for PostgreSQL clients."""
    for name in NAMES:
        if not paths.secret_file(name).exists():
            write_private(paths.secret_file(name), secrets.token_urlsafe(32))
    users = {"postgres": "postgres_password", **DATABASE_USERS}
    lines = [f"127.0.0.1:{ports()['postgresql']}:*:{user}:{paths.secret(name)}\n" for user, name in users.items()]
    write_private(paths.secret_file("pgpass"), "".join(lines))
