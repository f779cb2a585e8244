"""`connections --open` says of every socket what `ss -tanpei` says, and whose it is."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from tests.harness import COMMAND, PATIENCE, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs import ss
from tests.programs.driver import Process, Program
from tests.programs.places import ADDRESS, CALLED, PORT, SILENT, add_silent_host, link
from tests.schemas import checked
from tracer.session import Limits, Session, Settings
from tracer.views.base import View
from tracer.wire.filters import Filters

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

HERE = "10.99.0.1"
MAPPED_PORT, SIX_PORT, QUEUE_PORT, HALF_PORT = PORT + 1, PORT + 2, PORT + 3, PORT + 4
UNREAD, LEFT_UNREAD, ANSWER = 4099, 5, 1009  # bytes
KEEPALIVE = {"idle": 61, "interval": 7, "probes": 5}


@dataclass
class Quiet:
    """A set of connections in which nothing moves."""

    ns: Namespace
    server: Program
    client: Program
    child: Process
    caller: Program


def open_one(quiet: Quiet, name: str, address: str = ADDRESS, port: int = PORT) -> None:
    """A connection that both ends have: the server's end has the same name."""
    quiet.client.do("connect", name=name, address=address, port=port)
    quiet.server.do("accept", name=name, listener=f"l{port}")


def make(quiet: Quiet) -> None:
    client, server = quiet.client, quiet.server
    for port, address in (
        *((port, ADDRESS) for port in (PORT, QUEUE_PORT)),
        *((MAPPED_PORT, "::"), (SIX_PORT, "::1"), (HALF_PORT, HERE)),
    ):
        server.do("bind", name=f"l{port}", address=address, port=port)
        server.do("listen", name=f"l{port}", backlog=0 if port == QUEUE_PORT else 128)
    open_one(quiet, "unread")
    client.do("send", name="unread", count=UNREAD)
    open_one(quiet, "answered")
    client.do("send", name="answered", count=ANSWER)
    server.do("receive", name="answered", count=ANSWER)
    server.do("send", name="answered", count=2 * ANSWER)
    client.do("receive", name="answered", count=2 * ANSWER)
    client.do("keep_alive", name="answered", **KEEPALIVE)
    open_one(quiet, "left")  # CLOSE_WAIT, and FIN_WAIT2 of a full socket
    client.do("send", name="left", count=LEFT_UNREAD)
    client.do("half_close", name="left")
    open_one(quiet, "gone")  # the same, and nobody has the other end: a mini-socket in FIN_WAIT2
    client.do("close", name="gone")
    open_one(quiet, "over")  # TIME_WAIT
    client.do("half_close", name="over")
    server.do("receive", name="over")
    server.do("close", name="over")
    client.do("receive", name="over")
    client.do("close", name="over")
    open_one(quiet, "six", "::1", SIX_PORT)
    open_one(quiet, "mapped", ADDRESS, MAPPED_PORT)
    client.do("connect", name="queued", address=ADDRESS, port=QUEUE_PORT)
    client.do("begin", name="silent", address=SILENT, port=PORT, retries=6)
    quiet.caller.do("send_syns", source=SILENT, address=HERE, port=HALF_PORT, first=20001, count=1)


@pytest.fixture(scope="module")
def quiet() -> Iterator[Quiet]:
    with (
        namespace() as ns,
        Program("tt-server", ns.enter) as server,
        Program("tt-client", ns.enter) as client,
        Program("tt-caller", ns.enter) as caller,
    ):
        add_silent_host(ns)
        ns.run("sysctl", "-qw", "net.ipv4.tcp_synack_retries=5")
        caller.do("watch", device="far")
        made = Quiet(ns, server, client, client, caller)
        make(made)
        made.child = client.fork()  # holds all of the client's as well
        yield made


def look(*arguments: str) -> list[Record]:
    done = subprocess.run(
        [*COMMAND, *arguments, "-j"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return checked(done.stdout.splitlines())


def seen(quiet: Quiet, *more: str) -> list[Record]:
    return look("connections", "--open", "--netns", quiet.ns.name, *more)


def still(sockets: dict[str, ss.Socket]) -> dict[str, Any]:
    """What of them changes only if a packet is sent or received."""
    return {
        cookie: (one.state, [one.number(word) for word in ("segs_out", "segs_in", "cwnd")])
        for cookie, one in sockets.items()
    }


@pytest.fixture(scope="module")
def told(quiet: Quiet) -> list[tuple[Record, ss.Socket]]:
    """Every record beside what ss says; looked at again where something moved in between."""

    def agree() -> list[tuple[Record, ss.Socket]] | None:
        before = ss.sockets(quiet.ns)
        records = seen(quiet) + seen(quiet, "--state", "time-wait")
        after = ss.sockets(quiet.ns)
        if still(before) != still(after):
            return None
        assert sorted(r["cookie"] for r in records) == sorted(after)
        return [(record, after[record["cookie"]]) for record in records]

    found: list[tuple[Record, ss.Socket]] = wait_until(agree, "two looks alike")
    return found


Told = list[tuple[Record, ss.Socket]]


@pytest.mark.guest("connections", "iter")
def test_every_kind_of_connection_is_there_and_no_listener(told: Told) -> None:
    states = [record["state"] for record, _ in told]
    lasting = {"ESTABLISHED": 10, "CLOSE_WAIT": 2, "FIN_WAIT2": 1, "SYN_SENT": 1}
    passing = Counter({"FIN_WAIT2": 1, "TIME_WAIT": 1, "NEW_SYN_RECV": 1})
    if PATIENCE > 1:  # on a slow machine two looks alike may come when these are over
        passing = Counter(witness.state for _, witness in told) - Counter(lasting)
    assert Counter(states) == Counter(lasting) + passing


@pytest.mark.guest("connections", "iter")
def test_state_ends_and_namespace_are_those_of_ss(quiet: Quiet, told: Told) -> None:
    for record, witness in told:
        assert record["state"] == witness.state
        assert (record["laddr"], record["lport"]) == witness.local
        assert (record["raddr"], record["rport"]) == witness.remote
        assert record["family"] == (6 if ":" in witness.remote[0] else 4)
        assert record["netns"] == quiet.ns.inode


@pytest.mark.guest("connections", "iter")
def test_the_queues_are_those_of_ss_without_syns_and_fins(told: Told) -> None:
    for record, witness in told:
        if record["recv_queue"] is None:
            assert (witness.recv_queue, witness.send_queue) == (0, 0)
            continue
        fin = record["state"] == "CLOSE_WAIT"  # nobody has read to the end here
        assert record["recv_queue"] == witness.recv_queue - fin
        assert record["send_queue"] == witness.send_queue - (record["state"] == "SYN_SENT")
    unread = sorted(r["recv_queue"] for r, _ in told if r["recv_queue"])
    assert unread == [LEFT_UNREAD, UNREAD], "what the programs sent and did not read"


@pytest.mark.guest("connections", "iter")
@pytest.mark.parametrize(
    ("member", "word"),
    [
        ("cwnd", "cwnd"),
        ("mss", "mss"),
        ("segs_out", "segs_out"),
        ("segs_in", "segs_in"),
    ],
)
def test_a_count_is_that_of_ss(told: Told, member: str, word: str) -> None:
    full = [(r, w) for r, w in told if "cwnd" in w.words]
    assert len(full) == 14
    for record, witness in full:
        assert record[member] == witness.number(word)
    assert all(record[member] is None for record, witness in told if "cwnd" not in witness.words)


@pytest.mark.guest("connections", "iter")
def test_round_trips_are_those_of_ss(told: Told) -> None:
    for record, witness in told:
        measured = record["state"] != "SYN_SENT" and record["cwnd"] is not None
        assert (record["srtt_us"] is not None) == measured
        if measured:
            assert record["srtt_us"] == round(witness.number("rtt") * 1000)
            assert record["min_rtt_us"] == round(witness.number("minrtt") * 1000)
        assert record["congestion"] == witness.congestion


@pytest.mark.guest("connections", "iter")
def test_bytes_are_what_the_programs_sent_and_what_ss_counts(told: Told) -> None:
    for record, witness in told:
        if record["tx_bytes"] is None:
            continue
        assert record["tx_bytes"] == witness.number("bytes_sent")
        fin = record["state"] == "CLOSE_WAIT"
        assert record["rx_bytes"] == witness.number("bytes_received") - fin
        assert record["retransmit_bytes"] == witness.number("bytes_retrans")
    moved = sorted(
        (r["tx_bytes"], r["rx_bytes"]) for r, _ in told if r["tx_bytes"] or r["rx_bytes"]
    )
    sent = [(UNREAD, 0), (ANSWER, 2 * ANSWER), (LEFT_UNREAD, 0)]
    assert moved == sorted([*sent, *((theirs, ours) for ours, theirs in sent)])


@pytest.mark.guest("connections", "iter")
def test_uid_inode_and_keepalive_are_those_of_ss(told: Told) -> None:
    for record, witness in told:
        if record["cwnd"] is not None:
            assert record["uid"] == witness.number("uid")
            assert (record["inode"] or 0) == witness.number("ino")
        wanted = {"idle_s": 61, "interval_s": 7, "probes": 5}
        assert record["keepalive"] == (
            wanted if "keepalive" in witness.words.get("timer", "") else None
        )
    assert sum(record["keepalive"] is not None for record, _ in told) == 1


@pytest.mark.guest("connections", "iter")
def test_limits_are_those_of_ss(told: Told) -> None:
    for record, witness in told:
        for name in ("busy", "rwnd_limited", "sndbuf_limited"):
            if record[f"{name}_us"] is not None and record["state"] != "SYN_SENT":
                assert record[f"{name}_us"] == witness.number(name) * 1000
    assert any(record["busy_us"] for record, _ in told)


@pytest.mark.guest("connections", "iter")
def test_holders_are_those_of_ss_and_the_oldest_owns(quiet: Quiet, told: Told) -> None:
    for record, witness in told:
        users = {(pid, fd) for _, pid, fd in witness.users}
        assert record["holders"] == len({pid for pid, _ in users})
        if not users:
            assert record["fd"] is None
            assert record["owner_is"] in ("listener", "unknown")
            continue
        assert (record["pid"], record["fd"]) in users
        assert record["pid"] != quiet.child.pid, "it inherited them"
        assert record["owner_is"] == "process"
    assert {r["comm"] for r, _ in told if r["holders"]} == {"tt-server", "tt-client"}
    shared = [r for r, _ in told if r["holders"] == 2]
    assert len(shared) == 7
    assert {r["pid"] for r in shared} == {quiet.client.pid}


@pytest.mark.guest("connections", "iter")
def test_what_waits_for_accept_is_its_listeners_owners(quiet: Quiet, told: Told) -> None:
    waiting = [r for r, _ in told if r["owner_is"] == "listener"]
    ports = [QUEUE_PORT, HALF_PORT]
    if PATIENCE > 1 and not any(witness.state == "NEW_SYN_RECV" for _, witness in told):
        ports.remove(HALF_PORT)  # on a slow machine it may be over
    assert sorted((r["lport"], r["pid"]) for r in waiting) == [
        (port, quiet.server.pid) for port in ports
    ]
    assert all(r["listener_cookie"] for r in waiting)


@pytest.mark.guest("connections", "iter")
def test_who_began_is_known_of_every_one_that_is_measured(told: Told) -> None:
    served = {PORT, MAPPED_PORT, SIX_PORT, QUEUE_PORT, HALF_PORT}
    for record, witness in told:
        if "cwnd" in witness.words or record["state"] == "NEW_SYN_RECV":
            silent = record["raddr"] == SILENT and record["state"] == "SYN_SENT"
            passive = record["lport"] in served and not silent
            assert record["role"] == ("passive" if passive else "active")
        else:
            assert record["role"] is None


def test_one_that_carried_nothing_has_its_age_and_others_a_lower_bound(told: Told) -> None:
    for record, witness in told:
        exact, bound = record["duration_us"], record["duration_at_least_us"]
        if record["state"] in ("TIME_WAIT", "FIN_WAIT2") and record["cwnd"] is None:
            assert (exact, bound) == (None, None)
        elif record["tx_bytes"]:
            assert exact is None
            assert bound > 0
            assert record["opened"] is None
        else:
            assert exact > 0
            assert bound is None
            assert (record["opened"] is None) == (
                record["role"] is None or "SYN" in record["state"]
            )
        for member, word in (("last_sent_us", "lastsnd"), ("last_received_us", "lastrcv")):
            if record[member] is not None:
                assert witness.number(word) * 1000 >= record[member] - 4000


def test_the_age_of_one_that_carried_nothing_is_its_programs_own_account(quiet: Quiet) -> None:
    tick_us = (
        time.clock_getres(6) * 1e6
    )  # CLOCK_MONOTONIC_COARSE: what the kernel's stamp is good to
    log = quiet.client.do("connect_timed", address="::1", port=SIX_PORT, pauses_us=[0])["log"]
    ((port, called, returned),) = log
    try:
        before = time.monotonic_ns()
        (record,) = seen(quiet, "--lport", str(port))
        after = time.monotonic_ns()
        least, most = (before - returned) / 1000, (after - called) / 1000
        assert least - tick_us <= record["duration_us"] <= most + tick_us
    finally:
        quiet.client.do("close", name=f"held:{port}")
        quiet.server.do("accept", name="late", listener=f"l{SIX_PORT}")
        quiet.server.do("close", name="late")


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (["--state", "close-wait"], 2),
        (["--state", "syn-recv"], 1),
        (["--state", "syn-sent,fin-wait2"], 3),
        (["-6"], 2),
        (["--port", str(MAPPED_PORT)], 2),
        (["--lport", str(MAPPED_PORT)], 1),
        (["--addr", SILENT], 2),
    ],
)
def test_a_filter_leaves_what_it_says(quiet: Quiet, given: list[str], count: int) -> None:
    assert len(seen(quiet, *given)) == count


def test_a_holder_that_inherited_a_connection_finds_it_by_its_own_pid(quiet: Quiet) -> None:
    records = seen(quiet, "--pid", str(quiet.child.pid))
    assert len(records) == 7
    assert {r["holders"] for r in records} == {2}


def test_a_pid_that_there_is_not_is_an_error(quiet: Quiet) -> None:
    done = subprocess.run(
        [*COMMAND, "connections", "--open", "--pid", "4194304"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no process has the PID 4194304" in done.stderr


def table(*arguments: str) -> list[str]:
    done = subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.splitlines()


def test_the_table_says_whose_and_what_to_notice(quiet: Quiet) -> None:
    lines = table("connections", "--open", "--netns", quiet.ns.name)
    assert "STATE" in lines[1]
    rows = [line for line in lines[2:] if re.match(r"[A-Z][A-Z_0-9]+ ", line)]
    assert len(rows) == 16
    assert rows[0].split()[:2] == ["ESTAB", f"tt-server[{quiet.server.pid}]"], "most in its queue"
    assert " 4.10k " in rows[0]
    waiting = len(seen(quiet, "--state", "time-wait"))
    assert f"{waiting} more in TIME_WAIT (--state time-wait)" in lines
    assert any(re.search(r"bytes unread for .* in 2 connections", line) for line in lines)
    whole = len(rows) + waiting
    assert lines[-1].startswith(f"{whole} seen, {whole} matched, 0 lost in ")


def test_columns_and_order_can_be_chosen(quiet: Quiet) -> None:
    lines = table(
        *("connections", "--open", "--netns", quiet.ns.name, "--sort", "-recv-q"),
        *("--columns", "recv-q,fd,uid", "--limit", "3"),
    )
    assert lines[1].split() == ["RECV-Q", "FD", "UID"]
    assert [line.split()[0] for line in lines[2:5]] == ["0", "0", "0"]
    assert lines[5] == "... 13 more (--limit 0)"


def test_csv_has_a_row_each_and_every_member(quiet: Quiet) -> None:
    lines = table("connections", "--open", "--netns", quiet.ns.name, "-f", "csv")
    names = lines[0].split(",")
    assert len(lines) == 17
    assert {"state", "recv_queue", "cookie", "rx_per_s", "holders"} <= set(names)
    assert len(set(names)) == len(names)


@pytest.fixture
def pair() -> Iterator[tuple[Namespace, Program, Program]]:
    with (
        namespace() as ns,
        Program("tt-server", ns.enter) as server,
        Program("tt-client", ns.enter) as client,
    ):
        server.do("bind", name="l", address=ADDRESS, port=PORT)
        server.do("listen", name="l")
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="c", listener="l")
        yield ns, server, client


def test_rates_are_the_bytes_that_the_programs_sent_over_the_time_between(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, server, client = pair
    before, count = 211, 1_000_003
    client.do("send", name="c", count=before)
    server.do("receive", name="c", count=before)
    with Tracer("connections", "--open", "--netns", ns.name, "-i", "300ms") as tracer:
        wait_until(tracer.so_far, "a block without any")
        client.tell("send", name="c", count=count)
        server.do("receive", name="c", count=count)
        client.answer()
        so_far = len(tracer.so_far())
        wait_until(lambda: len(tracer.so_far()) >= so_far + 4, "two blocks more")
        records = tracer.stop()
    for role, rate, other in (
        ("active", "tx_per_s", "rx_per_s"),
        ("passive", "rx_per_s", "tx_per_s"),
    ):
        mine = [r for r in records if r["role"] == role and not r["total"]]
        assert mine[0][rate] == 0
        # each rate is of the time since the look before
        spans = [(b - a) / 1e9 for a, b in pairwise(r["mono_ns"] for r in mine)]
        moved = sum(r[rate] * span for r, span in zip(mine[1:], spans, strict=True))
        assert moved == pytest.approx(count)
        assert {r[other] for r in mine} == {0}
        (whole,) = [r for r in records if r["role"] == role and r["total"]]
        assert whole[rate.replace("_per_s", "_bytes")] == before + count
        assert count / 2 < whole[rate] * whole["span_us"] / 1e6 < 2 * count


def test_one_that_came_in_the_interval_is_new_and_counts_from_nothing(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, server, client = pair
    with Tracer("connections", "--open", "--netns", ns.name, "-i", "200ms") as tracer:
        client.do("connect", name="d", address=ADDRESS, port=PORT)
        server.do("accept", name="d", listener="l")
        client.do("send", name="d", count=500)
        so_far = len(tracer.so_far())
        wait_until(lambda: len(tracer.so_far()) >= so_far + 12, "blocks with it")
        records = tracer.stop()
    mine = [r for r in records if r["tx_bytes"] == 500]
    parts = [r for r in mine if not r["total"]]
    assert [r["new"] for r in parts] == [True, *[False] * (len(parts) - 1)]
    assert parts[0]["tx_per_s"] > 0
    assert all(r["tx_per_s"] == 0 for r in parts[1:])
    (total,) = [r for r in mine if r["total"]]
    assert (total["new"], total["partial"]) == (True, False)
    older = [r for r in records if r["total"] and r["tx_bytes"] == 0 and r["role"] == "active"]
    assert [(r["new"], r["partial"]) for r in older] == [(False, True)]


def test_each_block_has_seen_what_its_own_look_saw(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = pair
    line = ["connections", "--open", "--netns", ns.name, "-i", "50ms", "-d", "200ms"]
    done = subprocess.run([*COMMAND, *line], capture_output=True, text=True, cwd=ROOT, check=True)
    told = re.findall(r"^(\d+) seen, (\d+) matched", done.stdout, re.MULTILINE)
    assert len(told) >= 3
    assert set(told) == {("2", "2")}


def test_when_one_was_opened_is_told_no_finer_than_it_is_known(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = pair
    for record in look("connections", "--open", "--netns", ns.name):
        assert re.search(r"\.\d\d0000Z$", record["opened"])


def test_a_duration_without_intervals_gives_the_rates_over_it(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = pair
    records = look("connections", "--open", "--netns", ns.name, "-d", "200ms")
    assert len(records) == 2
    assert all(r["total"] and r["tx_per_s"] == 0 for r in records)
    assert all(r["span_us"] >= 200_000 for r in records)


def test_what_the_receivers_window_holds_up_is_told_as_by_ss(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, _, client = pair
    client.do("send_what_fits", name="c")

    def both() -> bool:
        (record,) = [
            r for r in look("connections", "--open", "--netns", ns.name) if r["role"] == "active"
        ]
        witness = ss.sockets(ns)[record["cookie"]]
        assert record["rwnd_limited_us"] <= witness.number("rwnd_limited") * 1000
        # the window may have opened a little between the two looks
        same = record["send_queue"] == witness.send_queue
        return same and bool(record["rwnd_limited_us"] > 0)

    wait_until(both, "the window to have held it up")
    lines = table("connections", "--open", "--netns", ns.name)
    assert any("LIMITED" in line for line in lines)
    assert json.dumps(lines).count("window ") >= 1


def calling(ns: Namespace, port: int = PORT) -> Record:
    """The record of the end that connected."""
    (record,) = look("connections", "--open", "--netns", ns.name, "--rport", str(port))
    return record


def test_bytes_sent_again_count_once_and_as_sent_again() -> None:
    with (
        link() as cable,
        Program("tt-server", cable.there.enter) as server,
        Program("tt-client", cable.here.enter) as client,
    ):
        server.do("bind", name="l", address=CALLED, port=PORT)
        server.do("listen", name="l")
        client.do("connect", name="c", address=CALLED, port=PORT)
        cable.cut(cable.here)
        client.do("send", name="c", count=1009)

        def sent_again() -> Record | None:
            record = calling(cable.here)
            return record if record["retransmits"] >= 2 else None

        record = wait_until(sent_again, "retransmissions")
        assert (record["tx_bytes"], record["send_queue"]) == (1009, 1009)
        assert record["retransmit_bytes"] == 1009 * record["retransmits"]
        assert record["role"] == "active"
        witness = ss.sockets(cable.here)[record["cookie"]]
        assert witness.number("bytes_retrans") >= record["retransmit_bytes"]


def test_bytes_that_the_machines_own_queue_refused_were_not_sent(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, _, client = pair
    shape = ["rate", "8bit", "burst", "1500", "limit", "1"]
    ns.run("ip", "link", "set", "lo", "mtu", "1400")
    ns.run("tc", "qdisc", "add", "dev", "lo", "root", "tbf", *shape)
    client.do("send", name="c", count=700)
    client.do("send", name="c", count=1009)

    def counted_twice() -> bool:
        (witness,) = [s for s in ss.sockets(ns).values() if s.remote[1] == PORT]
        return bool(witness.number("bytes_sent") > 700 + 1009)

    wait_until(counted_twice, "the kernel to count it again")
    record = calling(ns)
    assert (record["tx_bytes"], record["send_queue"]) == (0, 700 + 1009)
    (other,) = look("connections", "--open", "--netns", ns.name, "--lport", str(PORT))
    assert other["rx_bytes"] == 0


def test_a_pid_that_ends_ends_the_looks_with_a_notice(
    pair: tuple[Namespace, Program, Program],
) -> None:
    _, _, client = pair
    with Tracer("connections", "--open", "-i", "100ms", "--pid", str(client.pid)) as tracer:
        wait_until(tracer.so_far, "a block")
        client.end()
        assert tracer.process.wait(timeout=20) == 0
        records = tracer.stop()
    assert {r["pid"] for r in records} == {client.pid}
    assert "the processes of --pid have ended" in tracer.stderr


def test_a_look_between_two_can_be_asked_for(pair: tuple[Namespace, Program, Program]) -> None:
    ns, _, _ = pair
    with Tracer("connections", "--open", "--netns", ns.name, "-d", "1h") as tracer:
        tracer.process.send_signal(signal.SIGQUIT)
        wait_until(lambda: len(tracer.so_far()) == 2, "an interim block")
        records = tracer.stop()
    assert [r["total"] for r in records] == [False, False, True, True]
    assert all(r["tx_per_s"] == 0 for r in records)


class Looks(View):
    """What a traced session is told by looks at what is open."""

    def __init__(self) -> None:
        self.rows: Any = None

    def connections(self, rows: Any, now_ns: int) -> None:
        self.rows = rows


def test_beside_the_probes_a_look_knows_what_they_know(
    pair: tuple[Namespace, Program, Program],
) -> None:
    ns, server, client = pair
    show, limits, live = Looks(), Limits(), threading.Event()
    settings = Settings(Filters(netns=frozenset({ns.inode})), connections=True)
    session = Session(settings, show, ready=live.set, limits=limits)
    thread = threading.Thread(target=session.run)
    thread.start()
    assert live.wait(20)
    began = time.monotonic_ns()
    client.do("connect", name="new", address=ADDRESS, port=PORT)
    ended = time.monotonic_ns()
    client.do("send", name="new", count=307)
    limits.stop = "test"
    thread.join(20)
    rows = show.rows[show.rows["recv_queue"] == 307]
    assert rows["pid"].tolist() == [server.pid], "nobody has accepted it: it is its listener's"
    assert rows["listener_cookie"].all()
    assert rows["state"].tolist() == [1]
    (mine,) = show.rows[show.rows["tx_bytes"] == 307]
    assert mine["pid"] == client.pid
    established = int(mine["mono_ns"]) - int(mine["life_ns"])
    assert began <= established <= ended, "though it has sent data since"
