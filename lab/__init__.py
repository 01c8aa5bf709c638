# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded lab: real servers and reference services on loopback, for playbooks, tests and the demonstration."""
