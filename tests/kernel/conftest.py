"""Shared by tests of the kernel: a namespace with a silent host, where they make none of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.harness import Namespace, namespace
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, add_silent_host


@pytest.fixture(scope="session", autouse=True)
def _hang_ups_are_heard() -> Iterator[None]:
    """Whoever starts the tests by nohup has their programs ignore what some of them are about."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def server(ns: Namespace) -> Iterator[Program]:
    """Bound to NEAR: it does not listen yet."""
    with Program("tt-server", ns.enter) as made:
        made.do("bind", name="l", address=NEAR, port=PORT)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    """It can send packets from the host that is silent."""
    with Program("tt-client", ns.enter) as made:
        made.do("watch", device="far")
        yield made
