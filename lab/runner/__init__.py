# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process runner: a kubelet for one node whose containers are processes of this machine, on loopback addresses."""

NODE = "runner-0"
HOST_IP = "127.0.0.1"
CONDITIONS = "lab.sre.runbooks/conditions"  # annotation of the node: conditions that are to be true, comma-separated
METRICS_IP, METRICS_PORT = "10.244.127.1", 10250  # in the cluster; beside the pods of this node and the fake ones
METRICS_NAME = "metrics-server.kube-system.svc"
