# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image names, and the programs that they stand for."""

from __future__ import annotations

import asyncio
import sys

import pytest

from lab import hafnium
from lab.layout import LabError
from lab.runner import images
from lab.runner.images import Registry

REGISTRY = Registry()


@pytest.mark.parametrize("service", hafnium.SERVICES)
@pytest.mark.parametrize("version", ["1.4.1", "1.4.2", "1.5.0", "latest"])
def test_every_service_has_its_versions(service: str, version: str) -> None:
    image = REGISTRY.find(f"registry.lab/hafnium/{service}:{version}")
    assert image is not None
    assert list(image.command) == [sys.executable, "-m", "lab.services.spring_like"]
    assert image.variables == {"SERVICE_NAME": service, "SERVICE_VERSION": version}
    assert asyncio.run(image.entrypoint()) == image.command


def test_a_fault_is_a_good_version_with_one_more_setting() -> None:
    bad = REGISTRY.find("registry.lab/hafnium/case-service:1.5.0-bad-crash")
    assert bad is not None
    assert bad.variables == {"SERVICE_NAME": "case-service", "SERVICE_VERSION": "1.5.0", "SERVICE_FAULTS": "crash=1"}


@pytest.mark.parametrize(
    "name",
    [
        "registry.lab/hafnium/case-service:1.4.3",
        "registry.lab/hafnium/case-service:1.5.0-bad",
        "registry.lab/hafnium/case-service:1.5.0-bad-nothing",
        "registry.lab/hafnium/no-service:1.5.0",
        "case-service:1.5.0",
        "",
    ],
)
def test_the_registry_has_nothing_else(name: str) -> None:
    assert REGISTRY.find(name) is None


def test_without_a_tag_it_is_the_latest() -> None:
    name = "registry.lab/hafnium/case-service"
    assert REGISTRY.find(name) == REGISTRY.find(f"{name}:latest") is not None
    assert REGISTRY.find("localhost:5000/hafnium/case-service") is None


def test_what_is_built_is_built_when_it_is_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler() -> list[str]:
        raise LabError("no javac")

    image = REGISTRY.find("registry.lab/hafnium/identity-service:spring-1.5.0")
    assert image is not None
    assert image.variables["SERVICE_VERSION"] == "spring-1.5.0"
    monkeypatch.setitem(images._BUILDERS, "spring", lambda: ["java", "-jar", "service.jar"])
    assert asyncio.run(image.entrypoint()) == ["java", "-jar", "service.jar"]
    monkeypatch.setitem(images._BUILDERS, "spring", no_compiler)
    with pytest.raises(LabError, match="no javac"):
        asyncio.run(image.entrypoint())


def test_images_differ_by_their_digest() -> None:
    names = [f"registry.lab/hafnium/case-service:{tag}" for tag in ("1.4.2", "1.5.0", "1.5.0-bad-db")]
    found = [REGISTRY.find(name) for name in names]
    digests = {image.digest for image in found if image}
    assert len(digests) == 3
    assert all(digest.startswith("registry.lab/hafnium/case-service@sha256:") for digest in digests)
