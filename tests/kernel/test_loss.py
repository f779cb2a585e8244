"""What is lost is counted: records received and records lost are what the kernel counted.

The kernel's counters are read from outside, through the id of the tracer's map; how many
connections there were, the program that made them knows. A kernel may keep BPF off its first
process; what it counts is then all but exactly the transitions that it hid so.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.harness import ROOT, TRANSITIONS, Namespace, Record, Tracer, namespace, wait_until
from tests.hidden import Hidden, hidden_events
from tests.kernel.bpf_objects import TracerMap
from tests.kernel.endings import PORT, Ending, sockets_in_use
from tracer.kernel.maps import read_percpu_array
from tracer.wire.layout import Records, load

pytestmark = pytest.mark.kernel

LAYOUT = load(ROOT / "tracer/_bpf/tcptrace.bpf.o")
CONNECTIONS = 3001
HELD = 101
# One small connection of endings.c's "close", both ends: every transition once.
STEPS = (
    ("CLOSE", "SYN_SENT"),
    ("SYN_SENT", "ESTABLISHED"),
    ("LISTEN", "SYN_RECV"),
    ("SYN_RECV", "ESTABLISHED"),
    ("ESTABLISHED", "FIN_WAIT1"),
    ("FIN_WAIT1", "FIN_WAIT2"),
    ("FIN_WAIT2", "CLOSE"),
    ("ESTABLISHED", "CLOSE_WAIT"),
    ("CLOSE_WAIT", "LAST_ACK"),
    ("LAST_ACK", "CLOSE"),
)
# Its two listeners, IPv4 and IPv6.
EXPECTED = Counter(dict.fromkeys(STEPS, CONNECTIONS)) + Counter(
    {("CLOSE", "LISTEN"): 2, ("LISTEN", "CLOSE"): 2}
)

Steps = Counter[tuple[str, str]]
Transport = tuple[str, str]


@pytest.fixture(params=["perf", "ring"])
def transport(request: pytest.FixtureRequest) -> Transport:
    """Both roads from the kernel."""
    return ("--transport", request.param)


def kernel_stats(tracer: Tracer) -> Records:
    """struct tt_stats of a running tracer, summed over the CPUs."""
    stats = TracerMap(tracer.process.pid, "tt_stats")
    try:
        dtype = LAYOUT.dtypes["stats"]
        per_cpu = read_percpu_array(stats.fd, dtype, 3)
    finally:
        stats.close()
    words: Records = per_cpu.view(np.uint64).reshape(len(per_cpu), -1).sum(axis=0).view(dtype)[0]
    return words


def kernel_steps(stats: Records) -> Steps:
    """The kernel's count of each transition that occurred."""
    names = LAYOUT.names["tcp_state"]
    counts = stats["transitions"]
    return Counter({(names[o], names[n]): int(counts[o][n]) for o, n in np.argwhere(counts)})


def matched(stats: Records, kind: str) -> int:
    return int(stats["matched"][LAYOUT.enums["kind"][kind.upper()]])


def lost_in_buffers(stats: Records) -> int:
    """Of events: records that only name processes are told apart."""
    events = [LAYOUT.enums["kind"][kind] for kind in ("STATE", "ACCEPT")]
    return int(stats["lost_buffer"][..., events].sum())


def received(records: list[Record]) -> Steps:
    return Counter((r["old"], r["new"]) for r in records if r["kind"] == "state")


def lost(records: list[Record], why: str, of: str) -> int:
    told = [r for r in records if r["kind"] == "lost" and (r["why"], r["of"]) == (why, of)]
    return sum(r["count"] for r in told)


def lost_in_all(records: list[Record], *why: str) -> int:
    """All kinds together, by these causes or by any."""
    told = [r for r in records if r["kind"] == "lost"]
    return sum(r["count"] for r in told if not why or r["why"] in why)


def connect(space: Namespace, count: int = CONNECTIONS) -> None:
    """Make connections that end by close(), and wait until the kernel is done with them."""
    with Ending(space, "close", count) as ending:
        assert ending.finish().endings == count
    wait_until(lambda: sockets_in_use(space) == 0, "all sockets to be gone")
    assert space.counters()["TcpPassiveOpens"] == count


def possible(whole: Steps, hidden: Hidden) -> list[Steps]:
    """What can be counted of so many transitions, by what the kernel hid meanwhile."""
    return hidden.views(whole, " ".join)


def stopped(tracer: Tracer) -> AbstractContextManager[None]:
    """Nobody reads the buffers meanwhile."""
    return stopped_pid(tracer.process.pid)


@contextmanager
def stopped_pid(pid: int) -> Iterator[None]:
    """The same of a tracer known by its PID."""
    os.kill(pid, signal.SIGSTOP)
    status = Path(f"/proc/{pid}/stat")
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_stopped_reader_with_small_buffers_loses_what_the_kernel_counts(
    transport: Transport,
) -> None:
    with (
        namespace() as space,
        Tracer(*TRANSITIONS, *transport, "--netns", space.name, "--buffer-pages", "1") as t,
    ):
        with stopped(t), hidden_events(PORT) as hidden:
            connect(space)
        stats = kernel_stats(t)
        records = t.stop()
    steps, got = kernel_steps(stats), received(records)
    assert steps in possible(EXPECTED, hidden)
    assert lost(records, "buffer", "state") > 0
    assert sum(steps.values()) == matched(stats, "state")
    assert got.total() + lost(records, "buffer", "state") == steps.total()
    assert {step: n for step, n in got.items() if n > steps[step]} == {}


def test_accepts_received_and_lost_are_all_accepts(transport: Transport) -> None:
    with (
        namespace() as space,
        Tracer(*TRANSITIONS, *transport, "--netns", space.name, "--buffer-pages", "1") as t,
    ):
        with stopped(t):
            connect(space)
        stats = kernel_stats(t)
        records = t.stop()
    assert matched(stats, "accept") == CONNECTIONS
    accepts = sum(r["kind"] == "accept" for r in records)
    assert lost(records, "buffer", "accept") > 0
    assert accepts + lost(records, "buffer", "accept") == CONNECTIONS


def test_lost_records_add_up_to_the_closing_line(transport: Transport) -> None:
    with (
        namespace() as space,
        Tracer(*TRANSITIONS, *transport, "--netns", space.name, "--buffer-pages", "1") as t,
    ):
        with stopped(t), hidden_events(PORT) as hidden:
            connect(space)
        stats = kernel_stats(t)
        records = t.stop()
    assert lost_in_all(records) == t.counts["lost"]
    assert lost_in_all(records, "buffer") == lost_in_buffers(stats) > 0
    steps = kernel_steps(stats)
    assert steps in possible(EXPECTED, hidden)
    assert t.counts["matched"] == steps.total() + CONNECTIONS


def test_a_reader_that_lost_gets_all_that_comes_after(transport: Transport) -> None:
    after = 2  # fits even the smallest buffers
    with (
        namespace() as space,
        Tracer(*TRANSITIONS, *transport, "--netns", space.name, "--buffer-pages", "1") as t,
    ):
        with stopped(t), hidden_events(PORT) as hidden:
            connect(space)
        first = lost_in_buffers(kernel_stats(t))
        wait_until(lambda: lost_in_all(t.so_far(), "buffer") == first, "the loss to be told")
        before = kernel_stats(t)
        with hidden_events(PORT) as hidden_after:
            with Ending(space, "close", after) as ending:
                assert ending.finish().endings == after
            wait_until(lambda: sockets_in_use(space) == 0, "all sockets to be gone")
        stats = kernel_stats(t)
        records = t.stop()
    grown = kernel_steps(stats) - kernel_steps(before)
    more = Counter(dict.fromkeys(STEPS, after)) + Counter(
        {("CLOSE", "LISTEN"): 2, ("LISTEN", "CLOSE"): 2}
    )
    assert kernel_steps(before) in possible(EXPECTED, hidden)
    assert grown in possible(more, hidden_after)
    assert lost_in_all(records, "buffer") == first
    assert received(records).total() + lost(records, "buffer", "state") == (
        kernel_steps(before).total() + grown.total()
    )


def test_with_its_own_buffers_a_stopped_reader_loses_nothing(transport: Transport) -> None:
    with namespace() as space, Tracer(*TRANSITIONS, *transport, "--netns", space.name) as t:
        with stopped(t), hidden_events(PORT) as hidden:
            connect(space)
        steps = kernel_steps(kernel_stats(t))
        records = t.stop()
    assert received(records) == steps
    assert steps in possible(EXPECTED, hidden)
    assert sum(r["kind"] == "accept" for r in records) == CONNECTIONS
    # the third cause, runs that the kernel skips, is counted for the whole machine
    assert lost_in_all(records, "buffer", "map") == 0


def test_sockets_without_room_are_told_as_lost_and_not_half_known() -> None:
    with namespace() as space, Tracer(*TRANSITIONS, "--netns", space.name, "--sockets", "16") as t:
        with Ending(space, "with-process", HELD) as ending:
            ending.await_open()
            assert ending.finish().endings == HELD
        wait_until(lambda: sockets_in_use(space) == 0, "all sockets to be gone")
        stats = kernel_stats(t)
        records = t.stop()
    assert kernel_steps(stats)["CLOSE", "SYN_SENT"] == HELD
    by_map, by_buffer = (lost(records, why, "state") for why in ("map", "buffer"))
    assert by_map > 0
    assert received(records).total() + by_map + by_buffer == matched(stats, "state")
    assert matched(stats, "state") == kernel_steps(stats).total()
    assert t.counts["lost"] == lost_in_all(records)


def test_losses_are_told_whatever_kind_is_asked_for(transport: Transport) -> None:
    arguments = ("events", "--kind", "accept", *transport, "--buffer-pages", "1")
    with namespace() as space, Tracer(*arguments, "--netns", space.name) as t:
        with stopped(t):
            connect(space)
        stats = kernel_stats(t)
        records = t.stop()
    assert {r["kind"] for r in records} == {"accept", "lost"}
    assert matched(stats, "state") == 0
    accepts = sum(r["kind"] == "accept" for r in records)
    assert lost(records, "buffer", "accept") > 0
    assert accepts + lost(records, "buffer", "accept") == matched(stats, "accept") == CONNECTIONS
