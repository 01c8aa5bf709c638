# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container of a pod: from its image to its process, over all its restarts."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from lab.layout import LabError
from lab.runner import clock, environment, logs, probing
from lab.runner.context import Context
from lab.runner.images import Image
from lab.runner.kube import UNREACHABLE, Object, Refused
from lab.runner.logs import LogFile
from lab.runner.process import OWNER, Process

OOM_EXIT, START_EXIT, LOST_EXIT = 137, 128, 255
_CONFIG_RETRY_SECONDS = 1.0
_PULL_ERROR_SECONDS = 1.0
_MEMORY_SECONDS = 1.0
_STEADY_SECONDS = 60.0  # a run that lasted so long ends a series of crashes


class Home(Protocol):
    """What a container asks of its pod."""

    context: Context
    manifest: Object
    pod_ip: str
    address: str
    folder: Path
    asleep: bool

    def changed(self) -> None: ...


class Container:
    """Its status is in the attributes; every change is told to the pod."""

    def __init__(self, pod: Home, name: str, known: Object | None, init: bool = False) -> None:
        self.name = name
        self.init = init
        self.process: Process | None = None
        self.ready = self.started = False
        self.state: Object = {"waiting": {"reason": "PodInitializing" if not init else "ContainerCreating"}}
        self.last: Object = {}
        self.restarts = 0
        self.log: Path | None = None
        self.previous_log: Path | None = None
        self._pod = pod
        self._image_id = self._container_id = ""
        self._killed_for: str | None = None
        self._started_at = ""
        self._done: int | None = None  # its exit code, when it has ended for good before this runner came
        if known and known.get("containerID"):
            self._resume(known)

    @property
    def spec(self) -> Object:
        """As it stands in the pod now: an image can be changed in place."""
        group = self._pod.manifest["spec"]["initContainers" if self.init else "containers"]
        found: Object = next(entry for entry in group if entry["name"] == self.name)
        return found

    def status(self) -> Object:
        """Its entry in the pod's status."""
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": self._image_id,
            "containerID": self._container_id,
            "ready": self.ready if not self.init else "terminated" in self.state,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last,
        }

    async def run(self) -> int:
        """Run it until it needs no restart; the last exit code. Cancelled: its process goes on until ``stop``."""
        if self._done is not None:
            return self._done
        delay = 0.0
        while True:
            image, entrypoint = await self._pull()
            variables = await self._configure(image)
            begun = asyncio.get_running_loop().time()
            code = await self._execute(entrypoint, variables)
            if not self._again(code):
                return code
            if asyncio.get_running_loop().time() - begun > _STEADY_SECONDS:
                delay = 0.0
            await self._back_off(delay)
            delay = min(max(delay * 2, self._pod.context.first_backoff), self._pod.context.longest_backoff)
            self.restarts += 1

    async def stop(self, grace: float, told: bool = True) -> None:
        """End its process: pre-stop hook, SIGTERM, SIGKILL after the grace (seconds)."""
        process = self.process
        if process is None:
            return
        if told:
            self._event("Killing", f"Stopping container {self.name}")
        hook = ((self.spec.get("lifecycle") or {}).get("preStop") or {}).get("sleep") if told else None
        if hook:
            pause = min(float(hook.get("seconds") or 0), grace)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await process.wait()
            grace = max(grace - pause, 2.0)
        self._ended(await process.stop(grace))

    async def kill(self, message: str) -> None:
        """End its process because a probe failed; it is restarted as its pod says."""
        if self.process is not None:
            self._event("Killing", message)
            await self.process.stop(float(self._pod.manifest["spec"].get("terminationGracePeriodSeconds") or 30))

    def serves(self, ready: bool) -> None:
        """The outcome of its probes."""
        if (self.started, self.ready) != (True, ready):
            self.started, self.ready = True, ready
            self._pod.changed()

    def unhealthy(self, kind: str, reason: str) -> None:
        self._event("Unhealthy", f"{kind} probe failed: {reason}", warning=True)

    def waits(self, reason: str, message: str = "") -> None:
        """It does not run, and why."""
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self._pod.changed()

    def _resume(self, known: Object) -> None:
        """What an earlier runner left. When it was asked to stop, the container goes on; else its process was lost."""
        self._container_id, self._image_id = known["containerID"], known["imageID"]
        self.restarts, self.last = int(known["restartCount"]), known["lastState"]
        ended = known["state"].get("terminated")
        if ended is None and "running" in known["state"] and not self._pod.asleep:
            ended = {
                "exitCode": LOST_EXIT,
                "reason": "Unknown",
                "startedAt": known["state"]["running"]["startedAt"],
                "finishedAt": clock.now(),
                "containerID": known["containerID"],
            }
        if ended and not self._again(int(ended["exitCode"])):
            self.state = {"terminated": ended}
            self._done = int(ended["exitCode"])
            self.log = self._log_path(self.restarts)
        elif ended:
            self.last = {"terminated": ended}
            self.restarts += 1
        elif known["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff":
            self.restarts += 1
        self.previous_log = self._log_path(self.restarts - 1) if self.restarts else None

    async def _pull(self) -> tuple[Image, Sequence[str]]:
        """The image and its command, as soon as the registry has it."""
        delay = self._pod.context.first_backoff
        while True:
            name = str(self.spec["image"])
            image = self._pod.context.images.find(name)
            error = f'failed to resolve reference "{name}": {name}: not found'
            if image is not None:
                try:
                    command = await image.entrypoint()
                except LabError as reason:
                    error = str(reason)
                else:
                    self._image_id = image.digest
                    self._pulled(name)
                    return image, command
            if self.spec.get("imagePullPolicy") == "Never":
                message = f'Container image "{name}" is not present with pull policy of Never'
                self._event("ErrImageNeverPull", message, warning=True)
                self.waits("ErrImageNeverPull", message)
            else:
                await self._fail_to_pull(name, f'failed to pull and unpack image "{name}": {error}')
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._pod.context.longest_backoff)

    def _pulled(self, name: str) -> None:
        if self.spec.get("imagePullPolicy") == "Always":
            self._event("Pulling", f'Pulling image "{name}"')
            self._event("Pulled", f'Successfully pulled image "{name}" in 1ms (1ms including waiting)')
        else:
            self._event("Pulled", f'Container image "{name}" already present on machine')

    async def _fail_to_pull(self, name: str, error: str) -> None:
        self._event("Pulling", f'Pulling image "{name}"')
        self._event("Failed", f'Failed to pull image "{name}": rpc error: code = NotFound desc = {error}', warning=True)
        self._event("Failed", "Error: ErrImagePull", warning=True)
        self.waits("ErrImagePull", f"rpc error: code = NotFound desc = {error}")
        await asyncio.sleep(_PULL_ERROR_SECONDS)
        self._event("BackOff", f'Back-off pulling image "{name}"')
        self._event("Failed", "Error: ImagePullBackOff", warning=True)
        self.waits("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {error}')

    async def _configure(self, image: Image) -> dict[str, str]:
        """Its environment; waits until everything that it refers to is there."""
        pod = self._pod
        while True:
            try:
                own = await environment.resolve(pod.context.api.get, pod.manifest, self.spec, pod.pod_ip)
            except environment.ConfigError as error:
                self._event("Failed", f"Error: {error}", warning=True)
                self.waits("CreateContainerConfigError", str(error))
            except (*UNREACHABLE, Refused) as error:
                self.waits("CreateContainerConfigError", f"{type(error).__name__}: {error}")
            else:
                return {**pod.context.variables, **image.variables, **self._identity(), **own}
            await asyncio.sleep(_CONFIG_RETRY_SECONDS)

    def _identity(self) -> dict[str, str]:
        """What a runtime tells a container: who and where it is, and how much it may use."""
        limit = ((self.spec.get("resources") or {}).get("limits") or {}).get("memory")
        return {
            "HOSTNAME": self._pod.manifest["metadata"]["name"],
            "SERVER_ADDRESS": self._pod.address,  # a pod's own network: the process listens on its address only
            **({"LAB_MEMORY_LIMIT_BYTES": str(int(environment.quantity(str(limit))))} if limit else {}),
            OWNER: str(self._pod.context.folder),
        }

    async def _execute(self, entrypoint: Sequence[str], variables: dict[str, str]) -> int:
        spec = self.spec
        given = list(spec.get("command") or entrypoint)
        arguments = spec.get("args") or ()
        command = [environment.expand(part, variables) for part in (*given, *arguments)]
        self._container_id = f"lab://{uuid.uuid4().hex}"
        self._started_at = clock.now()
        self._killed_for = None
        self.log = self._log_path(self.restarts)
        self.previous_log = self._log_path(self.restarts - 1) if self.restarts else None
        self._forget_old_logs()
        log = LogFile(self.log)
        try:
            self.process = Process(command, variables, self._pod.folder, log)
        except OSError as error:
            log.close()
            self._event("Failed", f'Error: exec: "{command[0]}": {os.strerror(error.errno or 0).lower()}', warning=True)
            self._ended(START_EXIT, "StartError", f'exec: "{command[0]}": {os.strerror(error.errno or 0).lower()}')
            return START_EXIT
        self._event("Created", f"Container created: {self.name}")
        self._event("Started", f"Container started: {self.name}")
        self.state = {"running": {"startedAt": self._started_at}}
        self._pod.changed()
        watchers = [
            asyncio.create_task(probing.watch(self, spec, self._pod)),
            asyncio.create_task(self._guard_memory()),
        ]
        try:
            code = await self.process.wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
        self._ended(code)
        return self.state["terminated"]["exitCode"] if "terminated" in self.state else code

    async def _guard_memory(self) -> None:
        limit = ((self.spec.get("resources") or {}).get("limits") or {}).get("memory")
        if not limit or self.process is None:
            return
        most = environment.quantity(str(limit))
        while True:
            await asyncio.sleep(_MEMORY_SECONDS)
            if self.process.memory() > most:
                self._killed_for = "OOMKilled"
                self.process.signal(probing.KILL)

    def _ended(self, code: int, reason: str | None = None, message: str = "") -> None:
        if "running" not in self.state and reason is None:
            return
        reason = reason or self._killed_for or ("Completed" if code == 0 else "Error")
        if code and self.log and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = message or logs.last_words(self.log)
        ended = {
            "exitCode": OOM_EXIT if self._killed_for else code,
            "reason": reason,
            "startedAt": self._started_at,
            "finishedAt": clock.now(),
            "containerID": self._container_id,
            **({"message": message} if message else {}),
        }
        self.process = None
        self.ready = self.started = False
        self.state = {"terminated": ended}
        self._pod.changed()

    def _again(self, code: int) -> bool:
        policy = self._pod.manifest["spec"].get("restartPolicy", "Always")
        return bool(policy == "Always" and not self.init) or (policy != "Never" and code != 0)

    async def _back_off(self, delay: float) -> None:
        meta = self._pod.manifest["metadata"]
        self.last = self.state
        who = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        if delay:
            self._event("BackOff", f"Back-off restarting failed container {self.name} in pod {who}", warning=True)
            self.waits("CrashLoopBackOff", f"back-off {delay:g}s restarting failed container={self.name} pod={who}")
            await asyncio.sleep(delay)

    def _log_path(self, number: int) -> Path:
        folder = self._pod.folder / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{number}.log"

    def _forget_old_logs(self) -> None:
        for number in range(self.restarts - 2, -1, -1):
            path = self._log_path(number)
            if not path.exists():
                break
            path.unlink()

    def _event(self, reason: str, message: str, warning: bool = False) -> None:
        self._pod.context.events.pod(self._pod.manifest, reason, message, self.name, warning)
