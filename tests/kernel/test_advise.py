"""`advise` finds troubles that were made, by numbers that others tell too, and no others."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel

LEAKED, SLOW, CLOSED_MEANWHILE = 13, 17, 3
SPAN = ("-d", "2.5")
OLD_S = 10


def advise(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "advise", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)


def findings(*arguments: str) -> list[Record]:
    done = advise(*arguments, "-j")
    assert done.returncode == 0, done.stderr
    return checked(done.stdout.splitlines())


def by_id(records: list[Record]) -> dict[str, Record]:
    assert len({one["id"] for one in records}) == len(records)
    return {one["id"]: one for one in records}


@dataclass
class Place:
    """A namespace where one server leaks, and one is slow."""

    ns: Namespace
    leaky: Program
    slow: Program
    client: Program
    left: list[str]  # of the slow one, not closed yet

    def close_some(self) -> None:
        for _ in range(CLOSED_MEANWHILE):
            self.slow.do("close", name=self.left.pop(0))


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """Both hold what their clients closed more than 10 s ago."""
    with (
        namespace() as ns,
        server_in(ns) as leaky,
        server_in(ns, PORT + 1) as slow,
        Program("tt-client", ns.enter) as client,
    ):
        client.do("hold", address=ADDRESS, port=PORT, count=LEAKED)
        leaky.do("accept_waiting", listener="l")
        client.do("let_go")
        names = [f"s{i}" for i in range(SLOW)]
        for name in names:
            client.do("connect", name="c", address=ADDRESS, port=PORT + 1)
            slow.do("accept", name=name, listener="l")
            client.do("close", name="c")
        wait_until(lambda: heard_of_ms(ns) > OLD_S * 1000 + 100, "them to be old", 30)
        yield Place(ns, leaky, slow, client, names)


def heard_of_ms(ns: Namespace) -> int:
    """Since the latest of what is in CLOSE_WAIT received something, by ss."""
    told = re.findall(r"lastack:(\d+)", ns.run("ss", "-Htin", "state", "close-wait"))
    return min(map(int, told)) if len(told) == LEAKED + SLOW else 0


def test_who_closes_nothing_leaks_and_who_is_slow_does_not(place: Place) -> None:
    with Tracer("advise", "--netns", place.ns.name, *SPAN) as tracer:
        place.close_some()
        tracer.process.wait(30)
    (one,) = tracer.stop()
    assert (one["id"], one["severity"], one["pid"]) == ("close-wait-leak", "warn", place.leaky.pid)
    assert one["evidence"]["close_wait"] == one["evidence"]["kept"] == LEAKED
    assert (one["evidence"]["left"], one["evidence"]["per_minute"]) == (0, 0)
    held = place.ns.run("ss", "-Htn", "state", "close-wait", f"sport = :{PORT}").splitlines()
    assert len(held) == LEAKED
    assert one["evidence"]["oldest_at_least_s"] >= OLD_S
    assert one["evidence"]["descriptors_max"] > one["evidence"]["descriptors"] > LEAKED


def test_what_it_leaks_meanwhile_is_told_a_minute(place: Place) -> None:
    more = 5
    with Tracer("advise", "--netns", place.ns.name, "--lport", str(PORT), *SPAN) as tracer:
        place.client.do("hold", address=ADDRESS, port=PORT, count=more)
        place.leaky.do("accept_waiting", listener="l")
        place.client.do("let_go")
        tracer.process.wait(30)
    (one,) = tracer.stop()
    numbers = one["evidence"]
    assert numbers["close_wait"] == numbers["before"] + more
    assert numbers["per_minute"] == pytest.approx(more * 60e6 / one["span_us"], abs=0.1)
    assert "left the state" in numbers["text"]


def test_one_look_says_that_it_cannot_tell_a_leak_from_slowness(place: Place) -> None:
    told = findings("--now", "--netns", place.ns.name)
    assert {one["pid"] for one in told} == {place.leaky.pid, place.slow.pid}
    assert {one["severity"] for one in told} <= {"info", "warn"}
    assert all("one look cannot tell" in one["meaning"] for one in told)


def test_fail_on_ends_with_3_for_what_is_as_bad_and_only_then(place: Place) -> None:
    there = ("--netns", place.ns.name, "--lport", str(PORT), *SPAN)
    assert advise(*there, "--fail-on", "warn").returncode == 3
    assert advise(*there, "--fail-on", "crit").returncode == 0
    done = advise("--fail-on", "awful")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_session_that_was_kept_is_judged_alike(place: Place) -> None:
    with Tracer("advise", "--netns", place.ns.name, "--lport", str(PORT), *SPAN) as tracer:
        path = str(tracer.path / "kept.tcpt")
        (live,) = findings("--netns", place.ns.name, "--lport", str(PORT), *SPAN, "-w", path)
        (shown,) = findings("-r", path)
        assert shown == live
        tracer.process.wait(30)


# --- accept queues ----------------------------------------------------------------


@pytest.mark.parametrize("bound_by", ["listen", "somaxconn"])
def test_a_burst_that_overflows_is_told_by_the_limit_that_binds(bound_by: str) -> None:
    backlog, dropped = 4, 7
    with namespace() as ns, Program("tt-client", ns.enter) as client:
        if bound_by == "somaxconn":
            ns.run("sysctl", "-qw", f"net.core.somaxconn={backlog}")
        with (
            Program("tt-server", ns.enter) as server,
            Tracer("advise", "--netns", ns.name, *SPAN) as tracer,
        ):
            server.do("bind", name="l", address=ADDRESS, port=PORT)
            server.do("listen", name="l", backlog=backlog if bound_by == "listen" else 1000)
            client.do("hold", address=ADDRESS, port=PORT, count=backlog + 1)
            client.do("give_up", address=ADDRESS, port=PORT, count=dropped)
            server.do("accept_waiting", listener="l")
            tracer.process.wait(30)
        (one,) = tracer.stop()
        overflows = ns.counters()["TcpExtListenOverflows"]
    numbers = one["evidence"]
    assert (one["id"], one["severity"], one["pid"]) == ("accept-queue-full", "crit", server.pid)
    assert numbers["overflows"] == overflows >= dropped
    assert (numbers["queue_peak"], numbers["queue_max"]) == (backlog + 1, backlog)
    assert (numbers["max_set_by"], numbers["accepts"]) == (bound_by, backlog + 1)
    advised = any("sysctl -w net.core.somaxconn" in text for text in one["fix"])
    assert advised == (bound_by == "somaxconn")


def test_a_queue_that_nobody_empties_is_found_by_one_look() -> None:
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        server.do("listen", name="l", backlog=4)
        client.do("hold", address=ADDRESS, port=PORT, count=5)
        (one,) = findings("--now", "--netns", ns.name)
        told = ns.run("ss", "-Htln", f"sport = :{PORT}").split()
    assert (one["id"], one["pid"]) == ("accept-queue-full", server.pid)
    assert [one["evidence"]["queue"], one["evidence"]["queue_max"]] == [int(n) for n in told[1:3]]


# --- ephemeral ports --------------------------------------------------------------


def test_ports_that_are_gone_are_told_with_the_connects_that_failed() -> None:
    few, asked = 20, 31
    with namespace() as ns, server_in(ns), Program("tt-client", ns.enter) as client:
        ns.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range=40000 {40000 + few - 1}")
        with Tracer("advise", "--netns", ns.name, *SPAN) as tracer:
            failures = client.do("hold", address=ADDRESS, port=PORT, count=asked)["failures"]
            tracer.process.wait(30)
        told = by_id(tracer.stop())
    one = told["ephemeral-ports"]
    assert failures == {"EADDRNOTAVAIL": asked - few}
    assert (one["severity"], one["pid"]) == ("crit", client.pid)
    assert (one["evidence"]["failures"], one["evidence"]["free"]) == (asked - few, 0)


# --- what is well -----------------------------------------------------------------


def test_a_healthy_server_is_given_no_advice() -> None:
    with (
        namespace() as ns,
        server_in(ns) as server,
        Program("tt-client", ns.enter) as client,
        server_in(ns, PORT + 1) as other,
        Program("tt-pool", ns.enter) as pool,
    ):
        server.tell("serve", listener="l")
        with Tracer("advise", "--netns", ns.name, *SPAN, "--fail-on", "warn") as tracer:
            client.do("call", address=ADDRESS, port=PORT, count=499)
            pool.do("hold", address=ADDRESS, port=PORT + 1, count=11)
            other.do("accept_waiting", listener="l")
            tracer.process.wait(30)
        server.stop()
        assert tracer.stop() == []
        assert tracer.status == 0
        done = advise("--now", "--netns", ns.name, "--fail-on", "warn")
    assert done.returncode == 0
    assert "0 findings; nothing wrong by: close-wait-leak, accept-queue-full" in done.stdout


def test_nothing_is_changed_by_it(place: Place) -> None:
    look = ("sysctl", "-a", "--pattern", "net.(core.somaxconn|ipv4.(tcp_|ip_local))")
    before = place.ns.run(*look)
    advise("--netns", place.ns.name, *SPAN)
    assert place.ns.run(*look) == before
