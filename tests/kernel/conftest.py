"""A namespace with a silent host, for those tests that make none of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness import Namespace, namespace
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, add_silent_host


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
