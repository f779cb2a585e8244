"""How long each connection lay in the accept queue, by the clocks of the two that it belonged to.

On the loopback a server can be ESTABLISHED before its client's connect() returns, so a wait lies
between two bounds, and no tighter ones hold.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bench.programs import storm
from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.hidden import hidden_events
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = pytest.mark.kernel

COUNT = 211
NEAR_US = 100  # what lies between the end of a handshake and its client's return from connect()
STORM_US = 5000  # the same, where every CPU is busy
ROUNDS = 3
Log = dict[int, tuple[int, int]]  # by the client's port: called, returned


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def server(ns: Namespace) -> Iterator[Program]:
    with server_in(ns) as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace, *options: str) -> Tracer:
    return Tracer("accepts", "--netns", ns.name, "--lport", str(PORT), *options)


@dataclass(frozen=True)
class Timed:
    """What was told of so many connections, and what both sides' own clocks say of them."""

    summary: Record
    told: list[Record]
    connects: Log
    accepts: Log
    hidden: int  # those that became ESTABLISHED where no BPF program runs

    @property
    def waits(self) -> list[float]:
        return [one["wait_us"] for one in self.told if one["wait_us"] is not None]

    def outside(self, accepted: int, near_us: int) -> set[int]:
        """Which waits are not in their bounds, from the begin (0) or the return (1) of accept().

        None lasted longer than from the call of connect() to the return of accept().
        """
        found = set()
        for number, one in enumerate(self.told):
            called, returned = self.connects[one["rport"]]
            least = (self.accepts[one["rport"]][accepted] - returned) / 1000 - near_us
            most = (self.accepts[one["rport"]][1] - called) / 1000
            if one["wait_us"] is not None and not least <= one["wait_us"] <= most:
                found.add(number)
        return found


def timed(
    ns: Namespace, server: Program, client: Program, path: Path, awake: bool = False
) -> Timed:
    """The server holds accept() back for known random times; both sides keep a log of their own."""
    chance = random.Random(COUNT)
    pauses = [[chance.randrange(8000) for _ in range(COUNT)] for _ in range(2)]
    with hidden_events(PORT) as hidden, trace(ns, "-w", str(path)) as tracer:
        server.tell("accept_slowly", listener="l", pauses_us=pauses[0], awake=awake)
        client.tell("connect_timed", address=ADDRESS, port=PORT, pauses_us=pauses[1])
        connects = {port: (called, done) for port, called, done in client.answer()["log"]}
        accepts = {peer: (called, done) for peer, called, done in server.answer()["log"]}
        (record,) = tracer.stop()
    line = [*COMMAND, "events", "-j", "-r", str(path)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    found = Timed(record, told, connects, accepts, hidden.steps["SYN_RECV ESTABLISHED"])
    assert sorted(one["rport"] for one in told) == sorted(connects) == sorted(accepts)
    assert len(told) == record["accepts"] == COUNT
    assert len(found.waits) == COUNT - found.hidden
    return found


def test_each_wait_is_what_the_server_and_the_client_measured(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    found = timed(ns, server, client, tmp_path / "a.rec")
    for one in found.told:
        called, returned = found.connects[one["rport"]]
        # the moment lies within the server's call: what the scheduler does to the server after
        # that, before it reads its clock, is no wait
        begun, ended = found.accepts[one["rport"]]
        assert begun <= one["mono_ns"] <= ended, one
        if one["wait_us"] is not None:
            least = (one["mono_ns"] - returned) / 1000 - NEAR_US
            assert least <= one["wait_us"] <= (one["mono_ns"] - called) / 1000, one
    summed = found.summary["wait_us"]
    figures = (len(found.waits), min(found.waits), max(found.waits))
    assert (summed["count"], summed["min"], summed["max"]) == figures
    assert summed["sum"] == pytest.approx(sum(found.waits))


def test_on_a_quiet_machine_each_wait_ends_as_accept_returns_by_the_applications_clock(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    """In one of three rounds, which are alike: it may lose its CPU before it reads its clock."""
    rounds = [
        timed(ns, server, client, tmp_path / f"{number}.rec", awake=True)
        for number in range(ROUNDS)
    ]
    assert not set.intersection(*(found.outside(1, NEAR_US) for found in rounds))


@contextmanager
def stormy(ns: Namespace) -> Iterator[None]:
    """Connections on another port, as fast as they go, all the while."""
    with subprocess.Popen([*ns.enter, str(storm()), "600"]) as process:
        try:
            wait_until(lambda: ns.counters()["TcpActiveOpens"] > 1000, "the storm")
            yield
        finally:
            process.kill()


def test_under_a_storm_no_accept_is_missing_and_each_wait_is_within_its_bounds(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    with stormy(ns):
        found = timed(ns, server, client, tmp_path / "a.rec")
    assert not found.outside(0, STORM_US)


@pytest.mark.parametrize("around", [nullcontext, stormy], ids=["quiet", "storm"])
def test_depth_is_rate_times_wait(
    ns: Namespace,
    server: Program,
    client: Program,
    around: Callable[[Namespace], AbstractContextManager[None]],
) -> None:
    """Little's law, with the depth that another process read from the kernel all the while."""
    count = 997
    with around(ns), trace(ns) as tracer:
        watcher = server.fork()
        watcher.tell("watch_queue", listener="l", every_us=500)
        server.tell("accept_slowly", listener="l", pauses_us=[1000] * count)
        client.do("connect_timed", address=ADDRESS, port=PORT, pauses_us=[500] * count)
        server.answer()
        watched = watcher.stop()
        (record,) = tracer.stop()
    assert record["accepts"] == count
    assert record["wait_us"]["count"] >= 0.99 * count  # but for those hidden from BPF
    mean_ns = 1000 * record["wait_us"]["sum"] / record["wait_us"]["count"]
    depth = record["accepts"] / watched["span_ns"] * mean_ns
    assert watched["mean"] > 20
    assert depth == pytest.approx(watched["mean"], rel=0.1)
