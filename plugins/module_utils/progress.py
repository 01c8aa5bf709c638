# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of a long wait. In an ordinary module process there is nowhere to send it; the in-process twin replaces
``send`` in its child and prints each line on standard error, live."""

from __future__ import annotations


def send(text: str) -> None:
    """Show one line while the operation goes on. Does nothing on the ordinary path."""
