"""Shared by tests of the kernel: a namespace with a silent host, where they make none of it.

And those of timers are run once more where a kernel hid what they are about from all programs.
"""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator

import pytest

from tests.harness import Namespace, namespace
from tests.hidden import HiddenFromProgramsError, anything_hidden
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, add_silent_host


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of timers gets a second run, for that one reason."""
    for item in items:
        if item.get_closest_marker("timers"):
            only = [HiddenFromProgramsError.__name__]
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=only))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Tell a failure beside something hidden from one that has no such excuse."""
    if not pyfuncitem.get_closest_marker("timers"):
        return (yield)
    with anything_hidden() as hidden:
        try:
            return (yield)
        except Exception as error:
            if not (events := hidden()):
                raise
            raise HiddenFromProgramsError(f"{dict(events)} hidden, and {error}") from error


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
