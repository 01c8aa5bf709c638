# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process runner: a kubelet for one node whose containers are processes of this machine, on loopback addresses."""
