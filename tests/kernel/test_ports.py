"""`ports`: what it says is free is what connect() still finds, and what is not `ss` shows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import PORT, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel

FIRST, LAST, RESERVED = 40000, 40099, 10
HEARD = 40050  # listened on, within the range
PORTS = LAST - FIRST + 1 - RESERVED - 1
HELD, LEFT, TOO_MANY = 23, 13, 7
ADDRESSES = ("127.0.0.1", "::1")


@contextmanager
def room(reuse: int = 0) -> Iterator[Namespace]:
    with namespace() as ns:
        ns.run(
            *("sysctl", "-qw", f"net.ipv4.ip_local_port_range={FIRST} {LAST}"),
            f"net.ipv4.ip_local_reserved_ports={FIRST + 10}-{FIRST + 9 + RESERVED}",
            f"net.ipv4.tcp_tw_reuse={reuse}",
        )
        yield ns


@contextmanager
def client_of(ns: Namespace, address: str) -> Iterator[Program]:
    """A client that has HELD connections and LEFT ports in TIME_WAIT, and one that listens."""
    with (
        server_in(ns, PORT, address) as server,
        Program("tt-client", ns.enter) as client,
        Program("tt-other", ns.enter) as other,
    ):
        other.do("bind", name="l", address=address, port=HEARD)
        other.do("listen", name="l")
        server.tell("serve", listener="l")
        client.do("call", address=address, port=PORT, count=LEFT)
        server.stop()
        client.do("hold", address=address, port=PORT, count=HELD)
        yield client


def now(*arguments: str) -> list[Record]:
    return look("--now", *arguments)


def look(*arguments: str) -> list[Record]:
    command = [*COMMAND, "ports", *arguments, "-j"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines())


def by_ss(ns: Namespace, *states: str) -> int:
    asked = [word for state in states for word in ("state", state)]
    return len(ns.run("ss", "-Htn", *asked, f"dport = :{PORT}").splitlines())


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.guest("sockets", "iter")
def test_what_is_free_is_what_connect_still_finds(address: str) -> None:
    with room() as ns, client_of(ns, address) as client:
        (told,) = now("--netns", ns.name)
        assert (told["in_use"], told["time_wait"]) == (HELD, LEFT)
        assert told["in_use"] == by_ss(ns, "established")
        assert told["time_wait"] == by_ss(ns, "time-wait")
        assert (told["laddr"], told["raddr"], told["rport"]) == (address, address, PORT)
        assert (told["pid"], told["comm"]) == (client.pid, "tt-client")
        assert (told["range"], told["ports"]) == (f"{FIRST}-{LAST}", PORTS)
        free = told["free"]
        asked = free + TOO_MANY
        failures = client.do("hold", address=address, port=PORT, count=asked)["failures"]
        assert failures == {"EADDRNOTAVAIL": TOO_MANY}
        (told,) = now("--netns", ns.name)
    assert (told["in_use"], told["time_wait"], told["free"]) == (HELD + free, LEFT, 0)


@pytest.mark.parametrize("address", ADDRESSES)
def test_what_was_opened_and_what_found_no_port_is_what_the_client_says(address: str) -> None:
    with room() as ns, client_of(ns, address) as client:
        before = ns.counters()["TcpActiveOpens"]
        with Tracer("ports", "--netns", ns.name) as tracer:
            asked = PORTS - HELD - LEFT + TOO_MANY
            failures = client.do("hold", address=address, port=PORT, count=asked)["failures"]
            (told,) = tracer.stop()
        opened = ns.counters()["TcpActiveOpens"] - before
    assert failures == {"EADDRNOTAVAIL": TOO_MANY}
    assert (told["opens"], told["failures"]) == (opened, TOO_MANY)
    assert opened == PORTS - HELD - LEFT
    assert (told["free"], told["exhausted_in_s"]) == (0, 0)
    assert told["opens_per_s"] == pytest.approx(opened * 1e6 / told["span_us"], rel=1e-3)
    assert (tracer.counts["lost"], told["total"]) == (0, True)


def test_a_client_that_keeps_what_it_opens_is_told_when_it_is_over() -> None:
    """By its own two counts: as many as are free now, at the pace of the span."""
    more = 11
    with (
        room() as ns,
        client_of(ns, ADDRESSES[0]) as client,
        Tracer("ports", "--netns", ns.name) as tracer,
    ):
        client.do("hold", address=ADDRESSES[0], port=PORT, count=more)
        (told,) = tracer.stop()
    assert told["free"] == PORTS - HELD - LEFT - more
    # it grows by what was opened alone: nothing expired, and none came to TIME_WAIT
    seconds = told["span_us"] / 1e6
    told_s = told["free"] / (more / seconds)
    assert told["exhausted_in_s"] == pytest.approx(
        told_s, rel=1e-3, abs=6e-4
    )  # it has three places


def test_a_port_in_time_wait_that_connect_takes_again_is_told_so() -> None:
    with room(reuse=1) as ns, client_of(ns, ADDRESSES[0]) as client:
        (told,) = now("--netns", ns.name)
        assert told["time_wait_reused"]

        def more_than_were_free() -> bool:
            """A second after it came to TIME_WAIT a port is taken again."""
            client.do("hold", address=ADDRESSES[0], port=PORT, count=PORTS)
            return by_ss(ns, "established") == PORTS

        wait_until(more_than_were_free, "all ports to be taken")
        (told,) = now("--netns", ns.name)
    assert (told["in_use"], told["time_wait"], told["free"]) == (PORTS, 0, 0)


def test_namespaces_have_their_own_ports_and_their_own_ranges() -> None:
    with room() as here, room() as there:
        there.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=50000 50006")
        with client_of(here, ADDRESSES[0]), server_in(there) as _, Program("b", there.enter) as b:
            b.do("hold", address=ADDRESSES[0], port=PORT, count=5)
            told = {one["netns"]: one for one in now("--netns", f"{here.name},{there.name}")}
        assert told[here.inode]["ports"] == PORTS
        assert told[there.inode]["range"] == "50000-50006"
        assert (told[there.inode]["in_use"], told[there.inode]["free"]) == (5, 2)


def test_a_filter_chooses_rows_and_a_row_counts_all_of_its_ports() -> None:
    with room() as ns, client_of(ns, ADDRESSES[0]), Program("tt-third", ns.enter) as third:
        third.do("hold", address=ADDRESSES[0], port=PORT, count=3)
        third.do("connect", name="c", address=ADDRESSES[0], port=HEARD)
        records = now("--netns", ns.name, "--pid", str(third.pid))
        assert {r["rport"]: r["in_use"] for r in records} == {PORT: HELD + 3, HEARD: 1}
        records = now("--netns", ns.name, "--comm", "tt-client")
        assert [(r["rport"], r["in_use"], r["time_wait"]) for r in records] == [
            (PORT, HELD + 3, LEFT)
        ]


def test_a_recording_shows_the_same() -> None:
    with (
        room() as ns,
        client_of(ns, ADDRESSES[0]) as client,
        Tracer("ports", "--netns", ns.name) as tracer,
    ):
        path = str(tracer.path / "kept.tcpt")
        with Tracer("record", path, "--netns", ns.name, json=False) as recorder:
            client.do("hold", address=ADDRESSES[0], port=PORT, count=PORTS)
            recorder.stop()
        (live,) = tracer.stop()
        (shown,) = look("-r", path)
    same = ("in_use", "time_wait", "free", "range", "ports", "opens", "failures", "pid", "comm")
    assert {name: shown[name] for name in same} == {name: live[name] for name in same}
    assert live["failures"] == HELD + LEFT
