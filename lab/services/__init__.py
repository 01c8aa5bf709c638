# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reference services of the lab: a BackOffice and a gateway that behave, faults included, like the operated ones."""
