# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checksum of a migration, as Flyway computes it.

CRC-32 of the text in UTF-8 without line ends, as a signed number of 32 bits. A line ends with a line feed, a carriage
return, or both, and with nothing else; a byte order mark at the very beginning does not count.
"""

from __future__ import annotations

import zlib

BYTE_ORDER_MARK = "\ufeff"


def checksum(text: str) -> int:
    """The checksum of a text, from -2147483648 to 2147483647."""
    plain = text.removeprefix(BYTE_ORDER_MARK).replace("\r", "").replace("\n", "")
    number = zlib.crc32(plain.encode("utf-8", "surrogatepass"))
    return number - 2**32 if number >= 2**31 else number
