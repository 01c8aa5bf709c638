# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that change databases, as a person would type them."""

from __future__ import annotations

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import backup_server


def test_a_statement_can_be_typed() -> None:
    assert str(backup_server.rename('a"b', "c")) == 'ALTER DATABASE "a""b" RENAME TO "c"'
    assert str(backup_server.allow("a", False)) == 'ALTER DATABASE "a" ALLOW_CONNECTIONS false'
    assert str(backup_server.comment("a", "it's 100 % ours")) == "COMMENT ON DATABASE \"a\" IS 'it''s 100 % ours'"
    assert str(backup_server.comment("a", None)) == 'COMMENT ON DATABASE "a" IS NULL'
