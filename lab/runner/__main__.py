# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m lab.runner``: take the pods of node runner-0 and make them real, until SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import ssl
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

from aiohttp import web

from lab import kubeconfig, tls
from lab.layout import REPOSITORY, SUPERVISED, LabError, paths, write_private
from lab.runner import HOST_IP, METRICS_IP, METRICS_NAME, METRICS_PORT, NODE, certificates, egress, settings
from lab.runner.addresses import AddressPool, loopback
from lab.runner.context import Context
from lab.runner.events import Recorder
from lab.runner.images import Registry
from lab.runner.ingress import Backends, Certificate, Ingress
from lab.runner.kube import Api, say
from lab.runner.kubelet import Kubelet
from lab.runner.metrics_api import MetricsApi
from lab.runner.node import Node
from lab.runner.pods import Pods
from lab.runner.process import end_leftovers
from lab.runner.settings import Settings
from lab.runner.tasks import cancel, spawn
from lab.runner.usage import Usage

_STOP_SECONDS = 8.0
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


async def run(options: Settings) -> None:
    """Serve until a signal asks to stop; then end every process that was started."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        proxy = await egress.serve(options.egress)
        stack.callback(options.egress.unlink, missing_ok=True)
        stack.callback(proxy.close)
        access = kubeconfig.read(options.kubeconfig)
        api = Api(access)
        stack.push_async_callback(api.close)
        context = Context(
            api,
            Recorder(api, NODE),
            Registry(),
            AddressPool(options.pod_cidr),
            options.folder,
            _container_variables(access.server),
        )
        pods, node = Pods(context), Node(context, options.kubelet_port)
        backends = Backends(api, options.namespace)
        certificate = Certificate(api, options.namespace, options.folder / "ingress.pem")
        usage = Usage(pods)
        await _serve(stack, options, Kubelet(pods, lambda: _trouble(node, pods)), Ingress(backends), certificate)
        await _serve_metrics(stack, options, MetricsApi(api, usage))
        informers = (pods.informer, node.informer, backends.informer, certificate.informer)
        tasks = [spawn(each.run(), "informer") for each in informers]
        tasks += [
            spawn(usage.run(), "usage"),
            spawn(context.events.run(), "events"),
            spawn(node.run(), "node"),
            spawn(pods.tidy(), "tidy"),
        ]
        say(f"node {NODE}: taking pods of {access.server}")
        await stopping.wait()
        await cancel(*tasks)
        await pods.abandon(_STOP_SECONDS)
        say(f"node {NODE}: every process has ended")


async def _serve(
    stack: AsyncExitStack, options: Settings, kubelet: Kubelet, ingress: Ingress, certificate: Certificate
) -> None:
    own = certificates.self_signed(options.folder / "kubelet.pem", NODE, HOST_IP)
    kubelet_site = await _started(stack, kubelet.application())
    ingress_site = await _started(stack, ingress.application())
    sites: tuple[tuple[web.AppRunner, int, ssl.SSLContext | None], ...] = (
        (kubelet_site, options.kubelet_port, own),
        (ingress_site, options.ingress_port, None),
        (ingress_site, options.ingress_tls_port, certificate.context),
    )
    for runner, port, context in sites:
        await web.TCPSite(runner, HOST_IP, port, ssl_context=context).start()


async def _serve_metrics(stack: AsyncExitStack, options: Settings, metrics: MetricsApi) -> None:
    """On an address of the cluster, with a certificate of the lab's CA: the API server comes as to any Service."""
    file = options.folder / "metrics.pem"
    write_private(file, tls.issue(paths(), METRICS_NAME, [METRICS_NAME]))
    site = await _started(stack, metrics.application())
    await web.TCPSite(site, loopback(METRICS_IP), METRICS_PORT, ssl_context=certificates.server_context(file)).start()


async def _started(stack: AsyncExitStack, application: web.Application) -> web.AppRunner:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _trouble(node: Node, pods: Pods) -> str:
    if not node.known.is_set():
        return "the node is not registered yet"
    return "" if pods.informer.synced.is_set() else "the pods are not listed yet"


def _container_variables(server: str) -> dict[str, str]:
    """What every container finds: the way to programs and to the API server, and the mark of this lab."""
    url = urlsplit(server)
    return {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PYTHONPATH": str(REPOSITORY),
        "KUBERNETES_SERVICE_HOST": url.hostname or HOST_IP,
        "KUBERNETES_SERVICE_PORT": str(url.port or 443),
        SUPERVISED: str(paths().root),
    }


def _alone(folder: Path) -> TextIO:
    """The lock of the state folder; LabError when another runner holds it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stream = (folder / "lock").open("w")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LabError(f"another runner works in {folder}: stop it first") from None
    return stream


def main() -> int:
    try:
        options = settings.read()
        with _alone(options.folder):
            left = end_leftovers(str(options.folder))
            if left:
                say(f"ended {left} processes that an earlier runner left behind")
            asyncio.run(run(options))
    except (LabError, OSError) as error:
        say(f"runner: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
