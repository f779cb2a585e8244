"""The other back end: the same sources through BCC tell the same, with the same owners.

A program takes BCC seconds, so there are few of these. That it tells what the rest of the tests
want can be tried with `TCPTRACE_BACKEND=bcc pytest tests/kernel/test_handshakes.py`, and likewise
with test_syn_drops.py: see tests/README.md for what it does not serve.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.harness import Record, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import CHILD_LIFE, CLIENT_LIFE, stop_after

pytestmark = pytest.mark.kernel

COUNT = 53
KINDS = "state,accept,handshake"
BACK_ENDS = ("core", "bcc")
# of a connection: both sides' transitions and handshakes, and its accept
EACH = len(CLIENT_LIFE) + len(CHILD_LIFE) + 2


def facts(records: list[Record]) -> Counter[tuple[object, ...]]:
    """What both must tell of a workload, and how often; not what is measured, nor the cookies."""
    return Counter(
        tuple(
            record.get(name)
            for name in (
                *("kind", "pid", "comm", "owner_is", "family", "laddr", "lport", "raddr", "rport"),
                *("old", "new", "timewait", "role", "outcome", "errno", "listener_port"),
                *("listener_pid", "precision", "cgroup"),
            )
        )
        for record in records
    )


def test_through_bcc_the_same_is_told_of_the_same_connections_with_the_same_owners() -> None:
    with namespace() as ns, ExitStack() as stack:
        client = stack.enter_context(Program("tt-client", ns.enter))
        # older than both
        server = stack.enter_context(server_in(ns))
        tracers = [
            stack.enter_context(
                Tracer("events", "--kind", KINDS, "--netns", ns.name, "--backend", which)
            )
            for which in BACK_ENDS
        ]
        server.tell("serve", listener="l")
        client.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
        server.stop()
        client.do("begin", name="c", address=ADDRESS, port=PORT)
        # its listener ends, and the last attempt begins and fails
        told = [stop_after(tracer, COUNT * EACH + 4) for tracer in tracers]
    assert facts(told[1]) == facts(told[0])
