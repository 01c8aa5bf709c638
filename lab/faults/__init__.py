# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults of the lab by name: each can be put into the running lab and taken out again."""

from lab.faults import (
    backoffice,
    database,
    database_rows,
    database_sessions,
    events,
    flyway,
    gateway,
    kafka,
    kubernetes,
    ledger,
    shop_rows,
)
from lab.faults.model import Fault

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for group in (
        kafka,
        backoffice,
        ledger,
        database,
        gateway,
        events,
        kubernetes,
        database_sessions,
        database_rows,
        shop_rows,
        flyway,
    )
    for fault in group.FAULTS
}
