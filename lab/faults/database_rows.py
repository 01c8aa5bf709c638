# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of rows: a sequence that was set back by a restore, a store that was emptied."""

from __future__ import annotations

from lab import control, ecommerce
from lab.faults import books
from lab.faults.database_sessions import PART, rows
from lab.faults.model import Fault

REWOUND = 10


def _rewind() -> None:
    """As after a restore of one database of the pair."""
    rows(f"UPDATE order_number_sequence SET last_sequence = ({ecommerce.HIGHEST}) - {REWOUND}", database="customer_db")


def _lift() -> None:
    rows(
        f"UPDATE order_number_sequence SET last_sequence = greatest(last_sequence, ({ecommerce.HIGHEST}))",
        database="customer_db",
    )


def _empty() -> None:
    """Somebody emptied the tables; BackOffice stands still, as it has to for a restore."""
    control.stop("backoffice")
    books.empty_store()


FAULTS = (
    Fault(
        "ecommerce-sequence-rewound",
        f"customer_db's order numbers are {REWOUND} behind, as after a restore of it alone: the next order gets an old number",
        _rewind,
        _lift,
        PART,
    ),
    Fault(
        "backoffice-database-emptied",
        "the tables of database backoffice are empty and BackOffice is stopped: something for a restore",
        _empty,
        lambda: books.rebuilt(lambda data: data),
    ),
)
