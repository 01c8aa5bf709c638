# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What writes into the lab's databases by itself: stopped, so that what changes in them is the test's doing."""

from __future__ import annotations

from lab import control

WRITERS = ("market", "backoffice")


def stop() -> bool:
    """Stop those that run; true when there were any. ``heal`` starts them again."""
    running = [program for program in WRITERS if control.state(program) == "RUNNING"]
    for program in running:
        control.stop(program)
    return bool(running)
