"""`advise` of a receive buffer that is too small for the way, and of ports that nobody heard."""

from __future__ import annotations

import re

import pytest

from tests.harness import Namespace
from tests.programs.advising import advising, told
from tests.programs.driver import Program
from tests.programs.places import CALLED, NEAR, PORT, server_in, slow_link

pytestmark = pytest.mark.kernel

DELAY_MS = 50.0
ROOM = 20_000  # bytes, of SO_RCVBUF: the kernel doubles it
REFUSED, QUEUED = 7, 3


def pouring(room: int) -> tuple[list[dict[str, object]], str, int, int, float]:
    """Findings of the receiving side, ss's words of the socket, its process, what came, how long.

    `room` 0: the kernel sizes the buffer.
    """
    with (
        slow_link([{"delay_ms": DELAY_MS}]) as path,
        Program("tt-server", path.there.enter) as server,
        Program("tt-client", path.here.enter) as client,
    ):
        server.do("bind", name="l", address=CALLED, port=PORT)
        if room:
            server.do("limit_room", name="l", count=room)
        server.do("listen", name="l")
        client.do("connect", name="c", address=CALLED, port=PORT)
        server.do("accept", name="s", listener="l")
        server.tell("drain", name="s")
        client.tell("pour", name="c")
        with advising(path.there) as tracer:
            found = told(path.there, tracer)
        text = path.there.run("ss", "-Htmin", "state", "established")
        client.stop()
        client.do("close", name="c")
        came = server.answer()
        return found, text, server.pid, int(came["bytes"]), float(came["seconds"])


def test_a_small_receive_buffer_is_told_with_the_rate_it_allows_and_what_set_it() -> None:
    found, text, pid, came, seconds = pouring(ROOM)
    (one,) = found
    assert (one["id"], one["severity"], one["pid"]) == ("receive-buffer", "warn", pid)
    numbers = one["evidence"]
    assert isinstance(numbers, dict)
    assert numbers["kept_small_by"] == "SO_RCVBUF, set by the program"
    (buffer,) = re.findall(r"skmem:\(r\d+,rb(\d+)", text)
    assert numbers["buffer"] == int(buffer) == 2 * ROOM
    assert 2 * DELAY_MS / 1000 <= numbers["rtt_s"] < 4 * DELAY_MS / 1000
    assert numbers["bytes_per_s"] == pytest.approx(came / seconds, rel=0.3)
    assert numbers["window"] <= numbers["buffer"]
    assert str(one["fix"]).count("set no SO_RCVBUF") == 1


def test_a_buffer_that_the_kernel_sizes_is_no_finding_on_the_same_way() -> None:
    found, text, _, came, seconds = pouring(0)
    assert found == []
    assert came / seconds > 5 * ROOM / (2 * DELAY_MS / 1000), text


# --- send buffers -------------------------------------------------------------------


def test_a_small_send_buffer_is_told_with_what_is_on_its_way() -> None:
    with (
        slow_link([{"delay_ms": DELAY_MS}]) as path,
        Program("tt-server", path.there.enter) as server,
        Program("tt-client", path.here.enter) as client,
    ):
        server.do("bind", name="l", address=CALLED, port=PORT)
        server.do("listen", name="l")
        client.do("connect", name="c", address=CALLED, port=PORT)
        client.do("limit_send_room", name="c", count=ROOM)
        server.do("accept", name="s", listener="l")
        server.tell("drain", name="s")
        client.tell("pour", name="c")
        with advising(path.here) as tracer:
            (one,) = told(path.here, tracer)
        text = path.here.run("ss", "-Htmin", "state", "established")
        client.stop()
        client.do("close", name="c")
        came = server.answer()
    assert (one["id"], one["severity"], one["pid"]) == ("held-back", "warn", client.pid)
    numbers = one["evidence"]
    assert (numbers["held_by"], numbers["connections"]) == ("sndbuf", 1)
    assert 0.5 * one["span_us"] <= numbers["limited_s"] * 1e6 <= 1.1 * one["span_us"]
    assert numbers["bytes_per_s"] == pytest.approx(came["bytes"] / came["seconds"], rel=0.3)
    assert numbers["bytes_on_the_way"] < 4 * ROOM  # the last segment to be let in may overlap
    assert re.findall(r"skmem:\(\S+?,tb(\d+)", text) == [str(2 * ROOM)]
    assert "sndbuf_limited:" in text
    assert "set no SO_SNDBUF" in one["fix"][0]


# --- ports without a listener -----------------------------------------------------


def test_a_restart_that_leaves_a_port_alone_is_told_with_who_was_turned_away(
    ns: Namespace, server: Program, client: Program
) -> None:
    server.do("listen", name="l", backlog=100)
    with Program("tt-next", ns.enter) as following, advising(ns) as tracer:
        client.do("hold", address=NEAR, port=PORT, count=QUEUED)
        server.do("close", name="l")
        refused = client.do("hold", address=NEAR, port=PORT, count=REFUSED)["failures"]
        following.do("bind", name="l", address=NEAR, port=PORT)
        following.do("listen", name="l")
        client.do("connect", name="again", address=NEAR, port=PORT)
        records = told(ns, tracer)
        counted = ns.counters()["TcpOutRsts"]
    assert refused == {"ECONNREFUSED": REFUSED}
    one = {record["id"]: record for record in records}["listener-gap"]
    assert (one["severity"], one["pid"]) == ("warn", following.pid)
    assert one["where"] == f"tt-server[{server.pid}] :{PORT}"
    numbers = one["evidence"]
    assert (numbers["gaps"], numbers["refused"], numbers["reset_in_queue"]) == (1, REFUSED, QUEUED)
    assert counted == REFUSED + QUEUED
    assert 0 < numbers["longest_s"] == numbers["whole_s"] < one["span_us"] / 1e6
    assert f"opened by tt-next[{following.pid}]" in numbers["text"]


def test_a_server_that_is_gone_for_good_is_told(ns: Namespace, client: Program) -> None:
    with server_in(ns, PORT, NEAR) as server, advising(ns) as tracer:
        client.do("call", address=NEAR, port=PORT, count=0)
        server.end()
        client.do("hold", address=NEAR, port=PORT, count=REFUSED)
        found = {record["id"]: record for record in told(ns, tracer)}
    one = found["listener-gap"]
    assert (one["severity"], one["evidence"]["refused"]) == ("warn", REFUSED)
    assert one["where"] == f"tt-server-{PORT}[{server.pid}] :{PORT}"
    assert "nobody does yet" in one["title"]


def test_a_port_that_was_handed_over_and_one_that_nobody_called_are_no_finding(
    ns: Namespace, client: Program
) -> None:
    """The new one listens before the old one closes, as SO_REUSEPORT lets it."""
    with (
        Program("tt-old", ns.enter) as old,
        Program("tt-new", ns.enter) as new,
        server_in(ns, PORT + 1, NEAR) as unused,
    ):
        old.do("bind", name="l", address=NEAR, port=PORT, share=True)
        old.do("listen", name="l")
        with advising(ns) as tracer:
            new.do("bind", name="l", address=NEAR, port=PORT, share=True)
            new.do("listen", name="l")
            old.do("close", name="l")
            unused.do("close", name="l")
            client.do("hold", address=NEAR, port=PORT, count=REFUSED)
            new.do("accept_waiting", listener="l")
            assert told(ns, tracer) == []
