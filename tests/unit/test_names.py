"""--names: an answer that does not come, or comes late, holds nothing up."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tests.harness import wait_until
from tracer.attribution.names import MOST_WAITING, Names, service


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("# 192.0.2.9 no\n192.0.2.1\tone.example one # first\n192.0.2.1 late\n::1 six\n")
    return path


class Resolver:
    """Answers once it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()

    def __call__(self, address: str) -> str | None:
        self.asked.append(address)
        self.go.wait(30)
        return None if address.endswith(".0") else f"host-{address}"


def test_the_hosts_file_is_asked_first_and_no_one_else_then(hosts: Path) -> None:
    resolver = Resolver()
    names = Names(resolver, hosts)
    assert names.host("192.0.2.1") == "one.example"
    assert names.host("::1") == "six"
    assert resolver.asked == []


def test_a_name_that_does_not_come_is_the_number_and_holds_nothing_up(hosts: Path) -> None:
    resolver = Resolver()
    names = Names(resolver, hosts)
    names.allow(0.05)
    began = time.monotonic()
    for i in range(1000):
        assert names.host(f"198.51.100.{i}") == f"198.51.100.{i}"
    assert time.monotonic() - began < 5, "one wait for all, not one for each"
    resolver.go.set()
    wait_until(lambda: names.host("198.51.100.1") == "host-198.51.100.1", "the late answer")
    assert len(set(resolver.asked)) == len(resolver.asked) <= MOST_WAITING + 8


def test_a_name_that_comes_in_time_is_waited_for_and_asked_for_once(hosts: Path) -> None:
    resolver = Resolver()
    resolver.go.set()
    names = Names(resolver, hosts)
    names.allow(30)
    assert [names.host("192.0.2.7") for _ in range(3)] == ["host-192.0.2.7"] * 3
    assert resolver.asked == ["192.0.2.7"]


def test_an_address_without_a_name_is_asked_for_once_too(hosts: Path) -> None:
    resolver = Resolver()
    resolver.go.set()
    names = Names(resolver, hosts)
    names.allow(30)
    assert [names.host("192.0.2.0") for _ in range(3)] == ["192.0.2.0"] * 3
    assert resolver.asked == ["192.0.2.0"]


def test_services_have_names_and_callers_ports_have_none() -> None:
    assert (service(443), service(22)) == ("https", "ssh")
    assert service(40000) is None
    assert service(0) is None
