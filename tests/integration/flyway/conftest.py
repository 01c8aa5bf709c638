# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flyway itself, and the corpus on a server of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.flyway_oracle import Oracle
from tests.integration.flyway import corpus
from tests.integration.flyway.cases import CORPUS
from tests.integration.throwaway_postgres import Throwaway, throwaway

__all__ = ["throwaway"]  # the fixture

DATABASE = "corpus"


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    with Oracle() as found:
        yield found


@pytest.fixture(scope="session")
def built(throwaway: Throwaway, oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, corpus.Built]:
    """Every case of the corpus on the server, with what Flyway says of it, by name."""
    throwaway.run(f"CREATE DATABASE {DATABASE}")
    folder = tmp_path_factory.mktemp("corpus")
    found = {
        case.name: corpus.build(case, number, folder, throwaway, oracle, DATABASE) for number, case in enumerate(CORPUS)
    }
    for each in found.values():
        each.ask(oracle)
    return found


def login(server: Throwaway) -> dict[str, Any]:
    return {
        "login_host": "127.0.0.1",
        "login_port": server.port,
        "login_db": DATABASE,
        "login_user": "postgres",
        "login_password": server.password,
    }


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
