"""`connections`: one record for each that ended, with what its application sent and received."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench import programs
from tests.bench.traffic import PORT as STORM_PORT
from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.hidden import hidden_events
from tests.programs import ss
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, SHUT_PORT, SILENT, add_silent_host, server_in
from tests.schemas import checked

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

# what the client sends and the server answers, bytes; a prime number of connections
TICK_US = 10_000  # of the kernel's, at most
SIZES = ((0, 0), (1, 0), (0, 1), (4099, 1), (17, 65537), (300_007, 200_003), (1448, 1448))


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace, *more: str) -> Tracer:
    return Tracer("connections", "--netns", ns.name, *more)


def stop_after(tracer: Tracer, count: int) -> list[Record]:
    """Its records, once there are so many."""
    wait_until(lambda: len(tracer.so_far()) >= count, f"{count} connections told")
    return tracer.stop()


def both(records: list[Record], port: int) -> tuple[Record, Record]:
    """What was told of the client's end and of the server's, by the client's port."""
    (active,) = [r for r in records if r["lport"] == port]
    (passive,) = [r for r in records if r["rport"] == port]
    return active, passive


def open_one(server: Program, client: Program, address: str = ADDRESS) -> int:
    port: int = client.do("connect", name="c", address=address, port=PORT)["port"]
    server.do("accept", name="s", listener="l")
    return port


# --- what it carried --------------------------------------------------------------


@pytest.mark.parametrize("address", [pytest.param(ADDRESS, marks=pytest.mark.guest), "::1"])
def test_bytes_are_those_the_applications_sent_and_received(
    ns: Namespace, client: Program, address: str
) -> None:
    ports = []
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        for there, back in SIZES:
            ports.append(open_one(server, client, address))
            for sender, name, receiver, other, count in (
                (client, "c", server, "s", there),
                (server, "s", client, "c", back),
            ):
                if count:
                    sender.tell("send", name=name, count=count)
                    got = receiver.do("receive", name=other, count=count)["bytes"]
                    assert got == count
                    sender.answer()
            client.do("close", name="c")
            server.do("receive", name="s")  # its end
            server.do("close", name="s")
        records = stop_after(tracer, 2 * len(SIZES))
    assert len(records) == 2 * len(SIZES)
    for port, (there, back) in zip(ports, SIZES, strict=True):
        active, passive = both(records, port)
        assert (active["tx_bytes"], active["rx_bytes"]) == (there, back)
        assert (passive["tx_bytes"], passive["rx_bytes"]) == (back, there)
        assert (active["pid"], passive["pid"]) == (client.pid, server.pid)
        assert (active["role"], passive["role"]) == ("active", "passive")
        assert {(r["recv_queue"], r["send_queue"]) for r in (active, passive)} == {(0, 0)}
    again = sum(r["retransmits"] for r in records)  # none, but where the machine is slow
    assert again == ns.counters()["TcpRetransSegs"]
    assert tracer.counts["lost"] == 0


def test_what_was_never_read_is_told(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        port = open_one(server, client)
        client.do("send", name="c", count=4099)
        wait_until(lambda: unread(ns) == 4099, "all of it to have come")
        server.do("close", name="s")
        client.do("close", name="c")
        active, passive = both(stop_after(tracer, 2), port)
    assert (passive["rx_bytes"], passive["recv_queue"]) == (4099, 4099)
    assert (passive["end"], passive["closed_by"]) == ("rst_sent", "abort")
    assert (active["end"], active["errno"]) == ("rst_received", "ECONNRESET")
    assert (active["tx_bytes"], active["send_queue"]) == (4099, 0)


def unread(ns: Namespace) -> int:
    rows = ns.run("ss", "-tnH", "state", "established", f"sport = :{PORT}").split()
    return int(rows[0]) if rows else 0


# --- how it ended -----------------------------------------------------------------


def ends(record: Record) -> tuple[object, ...]:
    return record["closed_by"], record["end"], record["errno"]


@pytest.mark.guest
def test_who_closed_first_is_told_by_both_ends(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        first = open_one(server, client)
        client.do("close", name="c")
        server.do("receive", name="s")
        server.do("close", name="s")
        second = open_one(server, client)
        server.do("close", name="s")
        client.do("receive", name="c")
        client.do("close", name="c")
        records = stop_after(tracer, 4)
    assert [ends(r) for r in both(records, first)] == [
        ("local", "fin", None),
        ("remote", "fin", None),
    ]
    assert [ends(r) for r in both(records, second)] == [
        ("remote", "fin", None),
        ("local", "fin", None),
    ]


def test_a_reset_is_told_as_sent_and_as_received(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        port = open_one(server, client)
        client.do("reset", name="c")
        server.attempt("receive", name="s")
        server.do("close", name="s")
        active, passive = both(stop_after(tracer, 2), port)
    assert ends(active) == ("abort", "rst_sent", None)
    assert ends(passive) == ("abort", "rst_received", "ECONNRESET")


def test_one_that_was_killed_says_so(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        port = open_one(server, client)
        ns.run("ss", "-K", f"sport = :{port}")
        server.attempt("receive", name="s")
        server.do("close", name="s")
        client.do("close", name="c")
        active, passive = both(stop_after(tracer, 2), port)
    assert ends(active) == ("abort", "killed", "ECONNABORTED")
    assert ends(passive)[1:] == ("rst_received", "ECONNRESET")


def test_attempts_that_came_to_nothing_are_told_with_why(ns: Namespace, client: Program) -> None:
    with trace(ns) as tracer:
        client.attempt("connect", name="a", address=ADDRESS, port=SHUT_PORT)
        client.do("time_out", address=SILENT, port=PORT, count=1, limit_ms=50)
        client.do("give_up", address=SILENT, port=PORT, count=1)
        records = stop_after(tracer, 3)
    assert [ends(r) for r in records] == [
        ("abort", "rst_received", "ECONNREFUSED"),
        ("abort", "timeout", "ETIMEDOUT"),
        ("abort", "aborted", None),
    ]
    assert {(r["role"], r["tx_bytes"], r["rx_bytes"]) for r in records} == {("active", 0, 0)}
    assert {tuple(r["states_us"]) for r in records} == {("SYN_SENT",)}


def test_failed_leaves_out_what_ended_with_both_fins(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns, "--failed") as tracer:
        open_one(server, client)
        client.do("close", name="c")
        server.do("receive", name="s")
        server.do("close", name="s")
        client.attempt("connect", name="a", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 1)
    assert [r["errno"] for r in records] == ["ECONNREFUSED"]


# --- how long it was --------------------------------------------------------------


def test_its_life_is_the_one_that_the_application_timed(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        before = time.monotonic_ns()
        port = open_one(server, client)
        after = time.monotonic_ns()
        wait_until(lambda: time.monotonic_ns() > after + 50_000_000, "50 ms of it")
        closing = time.monotonic_ns()
        client.do("close", name="c")
        server.do("receive", name="s")
        closed = time.monotonic_ns()
        server.do("close", name="s")
        active, _ = both(stop_after(tracer, 2), port)
    assert (closing - after) // 1000 <= active["states_us"]["ESTABLISHED"]
    assert active["states_us"]["ESTABLISHED"] <= (closed - before) // 1000
    rest = sum(us for name, us in active["states_us"].items() if name not in ("SYN_SENT",))
    assert 0 <= active["duration_us"] - rest <= 3  # each is cut to whole us


def test_what_held_it_up_is_told_as_ss_told_it_before_its_end(
    ns: Namespace, client: Program
) -> None:
    """The receiver's window: its application reads nothing for a while."""
    with server_in(ns) as server, trace(ns) as tracer:
        port = open_one(server, client)
        sent = client.do("send_what_fits", name="c")["bytes"]
        stuck = time.monotonic_ns()
        wait_until(lambda: time.monotonic_ns() > stuck + 300_000_000, "0.3 s without a read")
        assert server.do("receive", name="s", count=sent)["bytes"] == sent
        (witness,) = [one for one in ss.sockets(ns).values() if one.local[1] == port]
        client.do("close", name="c")
        server.do("receive", name="s")
        server.do("close", name="s")
        active, passive = both(stop_after(tracer, 2), port)
    assert (active["tx_bytes"], passive["rx_bytes"]) == (sent, sent)
    for name in ("rwnd_limited", "sndbuf_limited"):
        assert active[f"{name}_us"] // 1000 == witness.number(name), name
    assert active["busy_us"] // 1000 >= witness.number("busy")  # its FIN was sent after that
    assert active["busy_us"] >= active["rwnd_limited_us"] >= 300_000 - 2 * TICK_US
    assert passive["rwnd_limited_us"] == 0


def test_states_and_waits_are_those_of_the_other_records(ns: Namespace, client: Program) -> None:
    """Each state's time is in a `state` record, the handshake's and the wait's in theirs."""
    with server_in(ns) as server, Tracer("events", "--netns", ns.name) as tracer:
        ports = []
        for _ in range(7):
            ports.append(open_one(server, client))
            client.do("close", name="c")
            server.do("receive", name="s")
            server.do("close", name="s")
        wait_until(
            lambda: sum(r["kind"] == "connection" for r in tracer.so_far()) == 14, "all to end"
        )
        records = tracer.stop()
    found = [r for r in records if r["kind"] == "connection"]
    assert len(found) == 14
    for one in found:
        mine = [r for r in records if r["cookie"] == one["cookie"]]
        dwells = {
            r["old"]: int(r["dwell_us"])
            for r in mine
            if r["kind"] == "state" and r["old"] not in ("CLOSE", "LISTEN")
        }
        assert one["states_us"].keys() == dwells.keys()
        assert all(abs(one["states_us"][name] - dwells[name]) <= 3 for name in dwells)
        (shake,) = [r for r in mine if r["kind"] == "handshake"]
        # the kernel keeps a listener's child no finer than a microsecond
        assert abs(one["handshake_us"] - shake["latency_us"]) <= 1
        waits = [r["wait_us"] for r in mine if r["kind"] == "accept"]
        assert len(waits) == (one["role"] == "passive")
        assert [abs(one["accept_wait_us"] - wait) <= 1 for wait in waits] == [True] * len(waits)
        assert one["closed"] == max(r["ts"] for r in mine if r["kind"] == "state")


def test_one_older_than_the_tracer_says_so(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server:
        port = open_one(server, client)
        client.do("send", name="c", count=17)
        server.do("receive", name="s", count=17)
        with trace(ns) as tracer:
            client.do("close", name="c")
            server.do("receive", name="s")
            server.do("close", name="s")
            active, passive = both(stop_after(tracer, 2), port)
    for one in (active, passive):
        assert one["partial"] is True
        assert (one["duration_us"], one["opened"]) == (None, None)
        assert one["duration_at_least_us"] >= 0
        assert "ESTABLISHED" not in one["states_us"]
        assert one["accept_wait_us"] is None
    assert (active["pid"], passive["pid"]) == (client.pid, server.pid)
    assert (active["tx_bytes"], passive["rx_bytes"]) == (17, 17)
    assert (active["role"], passive["role"]) == ("active", "passive")


# --- many -------------------------------------------------------------------------


def test_each_of_many_is_told_and_the_longest_come_first(ns: Namespace, tmp_path: Path) -> None:
    recording = tmp_path / "kept"
    with (
        hidden_events(STORM_PORT) as hidden,
        Tracer(
            *("connections", "--slowest", "--limit", "5", "--netns", ns.name),
            *("-w", str(recording)),
        ) as tracer,
    ):
        ns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535")
        made = int(ns.run(str(programs.storm()), "1").split()[0])
        wait_until(lambda: unended(ns) == 0, "all to have ended")
        records = tracer.stop()
    unseen = sum(count for step, count in hidden.steps.items() if step.endswith(" CLOSE"))
    told = 2 * made - unseen + hidden.steps["LISTEN CLOSE"]
    assert tracer.counts["lost"] == 0, tracer.stderr
    assert tracer.counts["matched"] == told, (tracer.counts, tracer.stderr)
    assert len(records) == 5
    lives = [r["duration_us"] for r in records]
    assert lives == sorted(lives, reverse=True)
    command = [*COMMAND, "connections", "-j", "-r", str(recording)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    every = checked(done.stdout.splitlines())
    assert len(every) == told
    assert lives[0] == max(r["duration_us"] for r in every)


def unended(ns: Namespace) -> int:
    return len(ns.run("ss", "-tnH", "state", "connected", "exclude", "time-wait").splitlines())


def test_of_too_many_the_latest_are_shown(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns, "--lport", str(PORT), "--limit", "2") as tracer:
        ports = []
        for _ in range(5):
            ports.append(open_one(server, client))
            client.do("close", name="c")
            server.do("receive", name="s")
            server.do("close", name="s")
        records = tracer.stop()
    assert [r["rport"] for r in records] == ports[:-3:-1]


def test_rows_are_sorted_by_the_column_that_is_asked_for(ns: Namespace, client: Program) -> None:
    sizes = (17, 4099, 1, 1448)
    with server_in(ns) as server, trace(ns, "--lport", str(PORT), "--sort", "in") as tracer:
        for size in sizes:
            open_one(server, client)
            client.do("send", name="c", count=size)
            client.do("close", name="c")
            server.do("receive", name="s", count=size)
            server.do("receive", name="s")  # its end
            server.do("close", name="s")
        wait_until(lambda: unended(ns) == 0, "all to have ended")
        records = tracer.stop()
    assert [r["rx_bytes"] for r in records] == sorted(sizes, reverse=True)
