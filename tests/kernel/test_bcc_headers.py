"""Without BTF, on the headers of the running kernel: BCC's programs count what the others do.

Where a machine has none of its kernel's, a tree made from its BTF stands for them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Namespace, Tracer
from tests.programs import laddered
from tests.programs.headers import with_own_headers
from tests.programs.laddered import Seen

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers")


@pytest.fixture(scope="session")
def told(folder: Path) -> Seen:
    """One session for all tests, as compiling takes BCC seconds."""
    prefix = with_own_headers(folder)
    kinds = "state,accept,handshake,syn_drop"

    def tracing(ns: Namespace) -> Tracer:
        return Tracer("events", "--netns", ns.name, "--kind", kinds, prefix=prefix)

    return laddered.see(tracing, laddered.has_late_ones)


@pytest.mark.guest("state", "bcc")
def test_every_transition_is_told_once(told: Seen) -> None:
    laddered.check_every_transition(told)
    laddered.check_older_listeners(told)


@pytest.mark.guest("accept", "bcc")
def test_every_accept_and_every_failed_one_belongs_to_who_called_it(told: Seen) -> None:
    laddered.check_every_accept(told)
    laddered.check_names(told)


@pytest.mark.guest("handshake", "bcc")
def test_every_connect_that_sends_no_syn_is_told(told: Seen) -> None:
    laddered.check_every_attempt(told)


@pytest.mark.guest("handshake", "bcc")
def test_a_handshake_whose_syn_ack_was_sent_again_is_timed_from_the_first(told: Seen) -> None:
    laddered.check_late_handshakes(told)


@pytest.mark.guest("syn_drop", "bcc")
def test_every_dropped_syn_and_final_ack_is_told_of_its_listener(told: Seen) -> None:
    laddered.check_every_dropped(told)
