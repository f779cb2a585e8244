"""A child whose peer is not known at its LISTEN -> SYN_RECV is told of with its next transition.

This kernel knows the peer by then; kernels before 6.15 do not. Here every child is kept back, and
what is told must be what is told without that.
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from tests.harness import Record, wait_until
from tracer.session import Limits, Session, Settings
from tracer.views.events import EventView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.wire.filters import Filters

pytestmark = pytest.mark.kernel
CONNECTIONS = 7


def told(path: Path, hold: int, rports: bool) -> list[Record]:
    """The passive side's transitions of a few connections, as a session told them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        clients = [socket.socket() for _ in range(CONNECTIONS)]
        for client in clients:
            client.bind(("127.0.0.1", 0))
        chosen = tuple((c.getsockname()[1],) * 2 for c in clients) if rports else ()
        settings = Settings(
            filters=Filters(lports=((port, port),), rports=chosen),
            kinds=frozenset({"state"}),
            hold_children=hold,
        )
        ready = threading.Event()
        limits = Limits()
        output = Output(path, force=True)
        session = Session(
            settings,
            EventView(output, Notices(quiet=True), Look("json")),
            ready=ready.set,
            limits=limits,
        )
        thread = threading.Thread(target=session.run)
        thread.start()
        try:
            assert ready.wait(20)
            for client in clients:
                client.connect(server.getsockname())
                server.accept()[0].close()
                client.close()
            # the last of each connection: LAST_ACK or TIME_WAIT has been left
            wait_until(
                lambda: path.exists() and path.read_text().count('"new":"CLOSE"') >= CONNECTIONS,
                "every child to be closed",
            )
        finally:
            limits.stop = "enough"
            thread.join(20)
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(records: list[Record]) -> list[list[tuple[str, str, bool]]]:
    """Transitions of each child in order, and whether the peer was known."""
    cookies = dict.fromkeys(r["cookie"] for r in records)
    return [
        [(r["old"], r["new"], bool(r["rport"])) for r in records if r["cookie"] == cookie]
        for cookie in cookies
    ]


@pytest.mark.parametrize("rports", [False, True], ids=["by-lport", "by-lport-and-rport"])
def test_a_child_that_was_kept_back_is_told_in_order_with_its_peer(
    tmp_path: Path, rports: bool
) -> None:
    plain = steps(told(tmp_path / "plain", 0, rports))
    held = steps(told(tmp_path / "held", 2, rports))
    assert len(plain) == CONNECTIONS
    assert plain[0][:2] == [("LISTEN", "SYN_RECV", True), ("SYN_RECV", "ESTABLISHED", True)]
    assert held == plain


@pytest.mark.guest
def test_a_child_that_was_kept_back_keeps_the_moment_of_its_transition(tmp_path: Path) -> None:
    records = told(tmp_path / "held", 2, False)
    entered = {r["cookie"]: r["mono_ns"] for r in records if r["old"] == "LISTEN"}
    left = {r["cookie"]: r for r in records if r["old"] == "SYN_RECV"}
    assert len(entered) == CONNECTIONS
    for cookie, record in left.items():
        assert record["mono_ns"] - entered[cookie] == pytest.approx(
            record["dwell_us"] * 1000, abs=1
        )
