# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of pods and of their processes."""

from __future__ import annotations

import pytest

from lab.runner.addresses import AddressPool, loopback


@pytest.mark.parametrize(
    ("lab", "pod", "expected"),
    [("0", "10.244.0.1", "127.64.0.1"), ("0", "10.244.7.254", "127.64.7.254"), ("3", "10.244.0.1", "127.67.0.1")],
)
def test_the_address_of_the_process_follows_from_that_of_the_pod(
    lab: str, pod: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRE_LAB_NUMBER", lab)
    assert loopback(pod) == expected


@pytest.mark.parametrize("address", ["10.245.0.1", "127.0.0.1", "192.0.2.1", "nowhere", "::1"])
def test_no_other_address_has_one(address: str) -> None:
    with pytest.raises(ValueError, match=r"not a pod address|Expected 4 octets|Only decimal digits"):
        loopback(address)


def test_an_address_that_was_given_back_rests() -> None:
    pool = AddressPool("10.244.0.0/29")
    taken = [pool.take() for _ in range(6)]
    assert len(set(taken)) == 6
    with pytest.raises(IndexError):
        pool.take()
    pool.give_back(taken[3])
    pool.give_back(taken[0])
    assert [pool.take(), pool.take()] == [taken[3], taken[0]]


def test_a_pod_keeps_its_address_when_it_is_free() -> None:
    pool = AddressPool("10.244.0.0/29")
    assert pool.take("10.244.0.5") == "10.244.0.5"
    assert pool.take("10.244.0.5") != "10.244.0.5"
    assert pool.take("10.200.0.1") in {"10.244.0.2", "10.244.0.3"}


def test_a_range_elsewhere_is_refused() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/24 is not a part of"):
        AddressPool("10.0.0.0/24")
