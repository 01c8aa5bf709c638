# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the Kubernetes control plane, built once from the modules in lab/controlplane and kept in the cache.

Versions are those of each module's go.mod, and go.sum pins every source file by checksum.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lab import golang
from lab.golang import Go
from lab.layout import LabError, Paths, cache_folder
from lab.progress import Line, say

SOURCES = Path(__file__).parent / "controlplane"
_BUILD_SECONDS = 3600
_NETWORK = ("dial tcp", "no such host", "i/o timeout", "connection re", "proxyconnect", "TLS handshake", "x509:")


@dataclass(frozen=True)
class Module:
    """One module of lab/controlplane.

    ``carries``: the dependency whose version it has; ``package``: what is built; ``program``: the file's name;
    ``stamped``: package whose variables tell the version; ``extras``: files of the dependency that go with the program.
    """

    name: str
    carries: str
    package: str
    program: str
    stamped: str | None = None
    extras: tuple[str, ...] = ()

    @property
    def source(self) -> Path:
        return SOURCES / self.name

    @property
    def version(self) -> str:
        """Version of the dependency in go.mod, without the leading v."""
        text = (self.source / "go.mod").read_text(encoding="utf-8")
        found = re.search(rf"^\s*(?:require )?{re.escape(self.carries)} v(\S+)", text, re.MULTILINE)
        if not found:
            raise LabError(f"{self.source / 'go.mod'} does not require {self.carries}")
        return found[1]

    @property
    def linker_flags(self) -> str:
        stamps = []
        if self.stamped:
            major, minor = self.version.split(".")[:2]
            values = {"gitVersion": f"v{self.version}", "gitMajor": major, "gitMinor": minor}
            stamps = [f"-X {self.stamped}.{name}={value}" for name, value in values.items()]
        return " ".join(["-s", "-w", *stamps])

    @property
    def folder(self) -> Path:
        """Where the built program is kept; another source has another folder."""
        digest = hashlib.sha256(repr((self.package, self.linker_flags, self.extras)).encode())
        for path in sorted(self.source.iterdir()):
            digest.update(path.name.encode() + path.read_bytes())
        return cache_folder(self.name, self.version) / digest.hexdigest()[:12]

    @property
    def path(self) -> Path:
        """The built program, whether it is there or not."""
        return self.folder / self.program


ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", "etcd")
KWOK = Module(
    "kwok",
    "sigs.k8s.io/kwok",
    "sigs.k8s.io/kwok/cmd/kwok",
    "kwok",
    extras=(
        "kustomize/stage/node/fast/node-initialize.yaml",
        "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
        "kustomize/stage/pod/fast/pod-complete.yaml",
        "kustomize/stage/pod/fast/pod-delete.yaml",
        "kustomize/stage/pod/fast/pod-ready.yaml",
        "kustomize/crd/bases/kwok.x-k8s.io_logs.yaml",
    ),
)
KUBERNETES = Module("kubernetes", "k8s.io/kubernetes", ".", "controlplane", stamped="k8s.io/component-base/version")
MODULES = (ETCD, KWOK, KUBERNETES)


def missing() -> list[Module]:
    """Modules that are not built yet."""
    return [module for module in MODULES if not module.folder.is_dir()]


def ensure(paths: Paths) -> None:
    """Build what is missing, one after the other; a second builder waits. MissingGo, LabError."""
    if not missing():
        return
    go = golang.ensure(paths)
    with _alone():
        todo = missing()
        if todo:
            say(
                f"building {', '.join(f'{module.name} {module.version}' for module in todo)} from source, once: "
                f"5 to 10 minutes on two cores, kept in {cache_folder('...', '').parent}"
            )
        for module in todo:
            _build(module, go, paths)
        if go.home:  # sources and compiled packages: gigabytes that nobody needs any more
            shutil.rmtree(go.home, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    lock = cache_folder("controlplane", "build.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another program is building the control plane: waiting for it")
            deadline = time.monotonic() + _BUILD_SECONDS
            while not _locked(stream.fileno()):
                if time.monotonic() > deadline:
                    raise LabError(
                        f"the other build of the control plane did not end within {_BUILD_SECONDS} s"
                    ) from None
                time.sleep(0.5)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _build(module: Module, go: Go, paths: Paths) -> None:
    folder = module.folder
    draft = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(draft, ignore_errors=True)
    what = f"{module.name} {module.version}"
    try:
        draft.mkdir(parents=True)
        work = _Work(what, go, module.source, paths, draft / "build.log")
        flags = ["-trimpath", f"-ldflags={module.linker_flags}"]
        stale = work.run("list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *flags, module.package)
        work.expect(len(stale.split()))
        work.run("build", "-v", *flags, "-o", str(draft / module.program), module.package)
        if module.extras:
            home = Path(work.run("list", "-m", "-f", "{{.Dir}}", module.carries).strip())
            for name in module.extras:
                shutil.copyfile(home / name, draft / Path(name).name)
        draft.replace(folder)
        work.done()
    except OSError as error:
        raise LabError(f"{what} cannot be built in {folder.parent}: {error.strerror} ({error.filename})") from None


class _Work:
    """Go commands of one build, followed by a line that shows how far they are."""

    def __init__(self, what: str, go: Go, source: Path, paths: Paths, log: Path) -> None:
        self._what, self._go, self._source, self._log = what, go, source, log
        self._environment = go.environment(paths)
        self._line = Line(every_seconds=20)
        self._modules = self._packages = 0
        self._expected: int | None = None

    def expect(self, packages: int) -> None:
        self._expected = packages

    def run(self, *arguments: str) -> str:
        """What the command prints; LabError with the reason why it failed."""
        process = subprocess.Popen(
            [str(self._go.program), *arguments],
            cwd=self._source,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        assert process.stdout
        assert process.stderr
        said: list[str] = []
        follower = threading.Thread(target=self._follow, args=(process.stderr, said), daemon=True)
        follower.start()
        timer = threading.Timer(_BUILD_SECONDS, process.kill)
        timer.start()
        try:
            output = process.stdout.read()
            code = process.wait()
        finally:
            timer.cancel()
            with suppress(ProcessLookupError):
                process.kill()
        follower.join(timeout=10)
        if code:
            raise self._failure(said, code)
        return output

    def done(self) -> None:
        self._line.finish(f"  {self._what}: built in {_clock(self._line.seconds)}")

    def _follow(self, stream: Iterator[str], said: list[str]) -> None:
        done = threading.Event()
        threading.Thread(target=self._tick, args=(done,), daemon=True).start()
        with self._log.open("a", encoding="utf-8") as log:
            for line in stream:
                log.write(line)
                said.append(line.strip())
                del said[:-50]
                if line.startswith("go: downloading"):
                    self._modules += 1
                elif re.fullmatch(r"[\w./~-]+\n", line):
                    self._packages += 1
        done.set()

    def _tick(self, done: threading.Event) -> None:
        while not done.wait(0.5):
            if self._expected is None:
                how_far = f"{self._modules} modules downloaded"
            elif self._packages < self._expected:
                how_far = f"{self._packages} of {self._expected} packages compiled"
            else:
                how_far = "linking"
            self._line.show(f"  {self._what}: {how_far}, {_clock(self._line.seconds)}")

    def _failure(self, said: Sequence[str], code: int) -> LabError:
        text = "\n".join(said)
        kept = self._log.parent.with_name("failed-build.log")
        with suppress(OSError):
            os.replace(self._log, kept)
        errors = [line for line in said if line and not line.startswith(("go: downloading", "#"))]
        last = (errors or [f"go ended with {code} and gave no reason"])[-1][:300]
        if "no space left" in text.lower():
            return LabError(f"{self._what} cannot be built: no space left on the disk; 4 GB are needed once ({last})")
        if "checksum mismatch" in text:
            return LabError(f"{self._what} is not built: a source differs from what go.sum pins ({last})")
        if any(word in text for word in _NETWORK):
            return LabError(
                f"no network: the sources of {self._what} could not be downloaded ({last}); "
                "they are needed once, try again when the network is there"
            )
        return LabError(f"{self._what} could not be built: {last} (see {kept})")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"
