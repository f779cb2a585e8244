"""`top`: what it says of processes, peers and groups is what their applications did."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.groups import control_group, enter
from tests.programs.places import ADDRESS, PORT, SHUT_PORT, SILENT, add_silent_host, server_in
from tests.programs.screen import screen
from tests.schemas import checked

pytestmark = pytest.mark.kernel

# what the client sends and the server answers, bytes; a prime number of short connections
SIZES = ((1, 0), (0, 1), (4099, 1), (17, 65537), (300_007, 200_003), (1448, 1448), (0, 0))
THERE, BACK = (sum(column) for column in zip(*SIZES, strict=True))
SUMS = ("rx_bytes", "tx_bytes", "opened", "ended", "failures")


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def top(ns: Namespace, *more: str) -> Tracer:
    return Tracer("top", "--netns", ns.name, *more)


def open_one(server: Program, client: Program, name: str = "") -> int:
    port: int = client.do("connect", name=f"c{name}", address=ADDRESS, port=PORT)["port"]
    server.do("accept", name=f"s{name}", listener="l")
    return port


def carry(sender: Program, name: str, receiver: Program, other: str, count: int) -> None:
    if count:
        sender.tell("send", name=name, count=count)
        assert receiver.do("receive", name=other, count=count)["bytes"] == count
        sender.answer()


def close(server: Program, client: Program, name: str = "") -> None:
    client.do("close", name=f"c{name}")
    server.do("receive", name=f"s{name}")  # its end
    server.do("close", name=f"s{name}")


def converse(server: Program, client: Program) -> None:
    for there, back in SIZES:
        open_one(server, client)
        carry(client, "c", server, "s", there)
        carry(server, "s", client, "c", back)
        close(server, client)


def total(records: list[Record], **wanted: object) -> Record:
    (found,) = [
        r for r in records if r["total"] and all(r[name] == wanted[name] for name in wanted)
    ]
    return found


def summed(records: list[Record], name: str, pid: int) -> int:
    """Over the blocks, without the total."""
    return sum(int(r[name]) for r in records if not r["total"] and r["pid"] == pid)


def established(ns: Namespace, port: str) -> int:
    states = ["state", "established", "state", "close-wait", "state", "fin-wait-1"]
    return len(ns.run("ss", "-tnH", *states, port).splitlines())


# --- bytes ------------------------------------------------------------------------


@pytest.mark.guest
def test_bytes_of_short_connections_are_those_that_were_sent_and_received(
    ns: Namespace, client: Program
) -> None:
    """None of them is there when a pass is made."""
    with server_in(ns) as server, top(ns) as tracer:
        converse(server, client)
        wait_until(lambda: not established(ns, f"sport = :{PORT}"), "all to have ended")
        records = tracer.stop()
        pids = client.pid, server.pid
    active, passive = (total(records, pid=pid) for pid in pids)
    # a guest may be so slow that a timer runs out
    again = ns.counters()["TcpRetransSegs"]
    assert active["retransmits"] + passive["retransmits"] == again
    assert (active["tx_bytes"], active["rx_bytes"]) == (THERE, BACK)
    assert (passive["tx_bytes"], passive["rx_bytes"]) == (BACK, THERE)
    for one in (active, passive):
        assert (one["opened"], one["ended"], one["failures"]) == (len(SIZES), len(SIZES), 0)
        assert one["open"] == 0
        assert bool(one["retransmit_share"]) == bool(one["retransmits"])
        assert one["srtt_us"] > 0
    assert active["comm"] == "tt-client"
    assert tracer.counts["lost"] == 0


def test_blocks_add_up_to_what_was_sent_whether_it_ended_or_not(
    ns: Namespace, client: Program
) -> None:
    """One older than the tracer that stays, one that comes and stays, short ones meanwhile."""
    with server_in(ns) as server:
        open_one(server, client, "old")
        carry(client, "cold", server, "sold", 100_003)
        with top(ns, "-i", "200ms") as tracer:
            open_one(server, client, "new")
            for _ in range(5):
                carry(client, "cold", server, "sold", 1009)
                carry(server, "snew", client, "cnew", 2003)
                before = len(tracer.so_far())
                wait_until(partial(_has_more, tracer, before), "a block")
            converse(server, client)
            records = tracer.stop()
        open_now = established(ns, f"dport = :{PORT}")
    sent, received = 5 * 1009 + THERE, 5 * 2003 + BACK
    for pid, there, back in ((client.pid, sent, received), (server.pid, received, sent)):
        one = total(records, pid=pid)
        assert (one["tx_bytes"], one["rx_bytes"]) == (there, back)
        assert (one["open"], one["opened"], one["ended"]) == (2, len(SIZES) + 1, len(SIZES))
        for name in SUMS:
            assert summed(records, name, pid) == one[name], name
    assert open_now == 2


def _has_more(tracer: Tracer, records: int) -> bool:
    return len(tracer.so_far()) > records


def test_rates_are_of_the_time_that_the_applications_clock_shows(
    ns: Namespace, client: Program
) -> None:
    outer = time.monotonic()
    with server_in(ns) as server, top(ns) as tracer:
        inner = time.monotonic()
        open_one(server, client)
        carry(client, "c", server, "s", 1_000_003)
        wait_until(lambda: time.monotonic() > inner + 0.5, "half a second")
        shortest = time.monotonic() - inner
        records = tracer.stop()
        longest = time.monotonic() - outer
    one = total(records, pid=client.pid)
    assert 1_000_003 / longest <= one["tx_per_s"] <= 1_000_003 / shortest
    assert 1 / longest <= one["opened_per_s"] <= 1 / shortest


# --- counts -----------------------------------------------------------------------


def test_what_is_open_is_what_ss_shows(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server:
        for i in range(5):
            open_one(server, client, str(i))
        with top(ns) as tracer:
            open_one(server, client, "later")
            close(server, client, "0")
            client.do("half_close", name="c1")
            server.do("receive", name="s1")
            # both ends of one half closed: FIN_WAIT2, which may be a mini-socket, and CLOSE_WAIT
            wait_until(lambda: ns.run("ss", "-tnH", "state", "fin-wait-2"), "FIN_WAIT2")
            records = tracer.stop()
            shown = ns.run("ss", "-tnH", "state", "established", f"sport = :{PORT}").splitlines()
            waiting = ns.run("ss", "-tnH", "state", "close-wait", f"sport = :{PORT}").splitlines()
        one = total(records, pid=server.pid)
    assert (len(shown), len(waiting)) == (4, 1)
    assert one["open"] == 5
    assert (one["opened"], one["ended"]) == (1, 1)


def test_failures_are_those_that_were_made(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, top(ns) as tracer:
        for i in range(7):
            client.attempt("connect", name=f"r{i}", address=ADDRESS, port=SHUT_PORT)
        client.do("time_out", address=SILENT, port=PORT, count=1, limit_ms=50)
        for i in range(3):
            open_one(server, client, str(i))
            client.do("reset", name=f"c{i}")
            server.attempt("receive", name=f"s{i}")
            server.do("close", name=f"s{i}")
        open_one(server, client)
        close(server, client)
        wait_until(lambda: not established(ns, f"sport = :{PORT}"), "all to have ended")
        records = tracer.stop()
        mine, other = (total(records, pid=pid) for pid in (client.pid, server.pid))
    assert (mine["failures"], mine["opened"], mine["ended"]) == (7 + 1 + 3, 4, 4)
    assert (other["failures"], other["opened"], other["ended"]) == (3, 4, 4)
    counters = ns.counters()
    assert counters["TcpAttemptFails"] == 7 + 1
    assert counters["TcpEstabResets"] == 2 * 3


def test_what_was_sent_again_is_told_as_a_share_of_the_segments(
    ns: Namespace, client: Program
) -> None:
    with top(ns) as tracer:
        client.do("time_out", address=SILENT, port=PORT, count=1, limit_ms=4000)
        records = tracer.stop()
        one = total(records, pid=client.pid)
    again = ns.counters()["TcpExtTCPSynRetrans"]
    assert one["retransmits"] == again > 0
    assert one["retransmit_share"] == min(1, again / one["segs_out"])


# --- by what ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "kind"),
    [("comm", "process"), ("peer", "peer"), ("peer/8", "peer"), ("netns", "netns")],
)
def test_rows_are_of_what_was_asked_for(
    ns: Namespace, client: Program, key: str, kind: str
) -> None:
    with server_in(ns) as server, top(ns, "--by", key) as tracer:
        converse(server, client)
        wait_until(lambda: not established(ns, f"sport = :{PORT}"), "all to have ended")
        records = tracer.stop()
    assert {r["kind"] for r in records} == {kind}
    if key == "comm":
        assert total(records, comm="tt-client")["tx_bytes"] == THERE
        assert total(records, comm=f"tt-server-{PORT}")["tx_bytes"] == BACK
        return
    name = key.split("/")[0]
    wanted = {"peer": ADDRESS, "peer/8": "127.0.0.0/8", "netns": ns.inode}[key]
    one = total(records, **{name: wanted})
    assert one["tx_bytes"] == one["rx_bytes"] == THERE + BACK
    assert one["ended"] == 2 * len(SIZES)


def test_rows_by_control_group_name_it_and_what_runs_in_it(ns: Namespace, client: Program) -> None:
    with control_group() as group:
        unit, scope = group / "tt-web.service", group / f"docker-{'7f3a' * 16}.scope"
        for made in (unit, scope):
            made.mkdir()
        enter(scope, client.pid)
        with server_in(ns) as server:
            enter(unit, server.pid)
            with (
                top(ns, "--by", "cgroup") as by_group,
                top(ns, "--by", "container") as by_container,
                top(ns) as by_process,
            ):
                converse(server, client)
                wait_until(lambda: not established(ns, f"sport = :{PORT}"), "all to have ended")
                groups, processes = by_group.stop(), by_process.stop()
                containers = by_container.stop()
            pid = server.pid
        client.end()
    found = total(groups, unit="tt-web.service")
    assert found["kind"] == "cgroup"
    assert found["cgroup"].endswith(f"{group.name}/tt-web.service")
    assert (found["tx_bytes"], found["rx_bytes"]) == (BACK, THERE)
    assert total(processes, pid=pid)["unit"] == "tt-web.service"
    boxed = total(containers, container="7f3a" * 3)
    assert (boxed["unit"], boxed["tx_bytes"]) == ("docker:7f3a7f3a7f3a", THERE)
    assert total(containers, container=None)["unit"] is None


# --- recordings and the terminal --------------------------------------------------


def test_a_recording_shows_what_the_session_did(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "kept")
    with server_in(ns) as server:
        open_one(server, client, "old")
        with top(ns, "-w", path, "-i", "200ms") as tracer:
            carry(client, "cold", server, "sold", 1009)
            converse(server, client)
            live = tracer.stop()
        replay = _replay(path)
        assert replay == live
        narrowed = _replay(path, "--pid", str(client.pid))
    assert {r["pid"] for r in narrowed} == {client.pid}
    mine = [r for r in live if r["pid"] == client.pid]
    assert narrowed == mine


def _replay(path: str, *more: str) -> list[Record]:
    command = [*COMMAND, "top", "-j", "-r", path, *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    return checked(done.stdout.splitlines())


def test_on_a_terminal_it_is_drawn_in_place_until_q(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    with server_in(ns) as server:
        open_one(server, client)
        with screen(tmp_path, (110, 30), "top", "--netns", ns.name, "-i", "200ms") as shown:
            row = rf"(?m)^ *{client.pid} tt-client .*$"
            shown.wait_for(row, "its row")
            carry(client, "c", server, "s", 100_003)
            for _ in range(3):
                assert len(re.findall(row, shown.text())) <= 1
            shown.press("q")
            shown.wait_for(r"(?m)^total  top ", "the total")
            assert shown.exit_status() == 0
        close(server, client)
