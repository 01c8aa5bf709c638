# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A light stand-in for a Spring Boot 3.5 service: its actuator, its metrics, its log and its ways to fail, in 25 MB.

It reads the variables of the real service in lab/spring, has the same business path and the same ``/faults``, so that
most of the pods of a lab need no JVM.
"""
