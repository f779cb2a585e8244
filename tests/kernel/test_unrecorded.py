"""What the kernel counts of handshakes and no record tells of is counted, to the last one.

Half-open connections that were reset, beside EmbryonicRsts; good cookies that found the accept
queue full, beside SyncookiesRecv (test_syncookies.py has these, too).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.crafted import ACK, RST, SYN, Host
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, NEAR, PORT, SHUT_PORT, add_silent_host, server_in
from tests.schemas import checked
from tracer.kernel.core import CoreObject
from tracer.kernel.settings import Settings
from tracer.limits import Limits
from tracer.session import Session
from tracer.views.base import View
from tracer.views.handshakes import HandshakesView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.resets import ResetsView
from tracer.wire.filters import Filters

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

FIRST, FAR = 20000, 1 << 24  # FAR: a sequence number that is in no window
FAST_OPEN = 0x2 | 0x200 | 0x400  # net.ipv4.tcp_fastopen: of any SYN with data
Proof = dict[str, tuple[int, int, int]]


@pytest.fixture
def host(ns: Namespace) -> Iterator[Host]:
    with Host(ns) as made:
        yield made


@pytest.fixture
def listening(ns: Namespace, server: Program) -> Program:
    server.do("listen", name="l", backlog=100)
    return server


def sysctl(ns: Namespace, name: str, value: int) -> None:
    ns.run("sysctl", "-qw", f"net.ipv4.{name}={value}")


def half_open(ns: Namespace) -> int:
    return len(ns.run("ss", "-Htn", "state", "syn-recv").splitlines())


def send(host: Host, flags: int, count: int, sequence: int = 1, to: int = PORT) -> None:
    for port in range(FIRST, FIRST + count):
        host.send(flags, port, to, sequence)


def knock(ns: Namespace, host: Host, count: int) -> None:
    """Have so many half-open connections."""
    before = half_open(ns)
    send(host, SYN, count)
    wait_until(lambda: half_open(ns) == before + count, "the SYNs to be taken up")


def embryonic(ns: Namespace) -> int:
    return ns.counters()["TcpExtEmbryonicRsts"]


def has_reset(ns: Namespace, count: int) -> bool:
    return embryonic(ns) == count


def has_answered_again(ns: Namespace, count: int) -> bool:
    return ns.counters()["TcpExtTCPSynRetrans"] >= count


def proof(records: list[Record], ns: Namespace) -> Proof:
    """What the kernel counted, what was told of that, what is left over."""
    return {
        r["counter"]: (r["kernel"], r["explained"], r["unexplained"])
        for r in records
        if r["kind"] == "reconciliation" and r["netns"] == ns.inode
    }


def replayed(kept: Path, *more: str) -> list[Record]:
    line = [*COMMAND, "handshakes", "-r", str(kept), "-j", *more]
    return checked(subprocess.check_output(line, text=True, cwd=ROOT).splitlines())


def reset(ns: Namespace, host: Host, server: Program, count: int) -> None:
    knock(ns, host, count)
    send(host, RST, count, 2)


def send_a_syn_within_the_window(ns: Namespace, host: Host, server: Program, count: int) -> None:
    """Our side resets what such a SYN comes for."""
    knock(ns, host, count)
    send(host, SYN, count, 2)


def come_and_go(ns: Namespace, host: Host, count: int, before: int = 0) -> None:
    """So many more half-open connections that are reset, until the kernel has counted them."""
    knock(ns, host, count)
    send(host, RST, count, 2)
    wait_until(partial(has_reset, ns, before + count), "them to be reset")


def overflow(ns: Namespace, host: Host, server: Program, count: int) -> None:
    """Final ACKs that find the accept queue full, and are answered by RSTs."""
    sysctl(ns, "tcp_abort_on_overflow", 1)
    send(host, SYN, count + 1)
    answers = [host.answer(port, SYN | ACK) for port in range(FIRST, FIRST + count + 1)]
    server.do("listen", name="l", backlog=0)  # which takes one
    for i, (sequence, acked) in enumerate(answers):
        host.send(ACK, FIRST + i, PORT, acked, sequence + 1)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(reset, marks=pytest.mark.guest("unrecorded", "raw_tp")),
        send_a_syn_within_the_window,
        overflow,
    ],
)
def test_each_half_open_connection_that_is_reset_is_counted_live_and_replayed(
    ns: Namespace,
    host: Host,
    listening: Program,
    tmp_path: Path,
    end: Callable[[Namespace, Host, Program, int], None],
) -> None:
    count, kept = 37, tmp_path / "kept"
    with (
        Tracer("handshakes", "--netns", ns.name, "-w", str(kept)) as tracer,
        Tracer("handshakes", "--netns", ns.name, json=False) as table,
    ):
        end(ns, host, listening, count)
        wait_until(lambda: embryonic(ns) == count, "all to be reset")
        table.stop()
        records = tracer.stop()
    for told in (records, replayed(kept)):
        assert proof(told, ns)["EmbryonicRsts"] == (count, count, 0)
        assert {left for _, _, left in proof(told, ns).values()} == {0}
    assert f"of EmbryonicRsts {count} are half-open connections that were reset" in table.stdout
    assert "left over 0" in table.stdout


@pytest.mark.guest("unrecorded", "raw_tp")
def test_syn_acks_sent_again_are_counted_also_of_those_that_a_rst_ends(
    ns: Namespace, host: Host, listening: Program, tmp_path: Path
) -> None:
    """Some were sent again before tracing, and once more since."""
    older, count, kept = 7, 11, tmp_path / "kept"

    def sent_again() -> int:
        return ns.counters()["TcpExtTCPSynRetrans"]

    knock(ns, host, older)
    wait_until(lambda: sent_again() == older, "the first to be answered again")
    with Tracer("handshakes", "--netns", ns.name, "-w", str(kept)) as tracer:
        for port in range(FIRST + older, FIRST + older + count):
            host.send(SYN, port, PORT)
        wait_until(lambda: sent_again() >= older * 2 + count, "all to be answered again")
        send(host, RST, older + count, 2)
        wait_until(lambda: embryonic(ns) == older + count, "all to be reset")
        records = tracer.stop()
    for told in (records, replayed(kept)):
        found = proof(told, ns)
        assert found["EmbryonicRsts"] == (older + count, older + count, 0)
        again, explained, left = found["TCPSynRetrans"]
        assert again == explained >= count
        assert left == 0


def test_a_rst_that_is_in_no_window_ends_nothing_and_is_not_counted(
    ns: Namespace, host: Host, listening: Program
) -> None:
    count, good = 7, 3
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        knock(ns, host, count)
        send(host, RST, count, FAR)
        send(host, RST, good, 2)  # behind them: those have been handled
        wait_until(lambda: embryonic(ns) == good, "the others to be reset")
        records = tracer.stop()
    assert proof(records, ns) == {"EmbryonicRsts": (good, good, 0)}
    (one,) = (r for r in records if r["kind"] == "handshake_summary")
    assert (one["pending"], one["outcomes"]) == (count - good, {})


def test_rsts_for_a_listener_that_has_closed_meanwhile_are_none_of_either(
    ns: Namespace, host: Host, listening: Program
) -> None:
    count, good = 7, 3
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        come_and_go(ns, host, good)
        knock(ns, host, count)
        listening.do("close", name="l")
        send(host, RST, count, 2)
        wait_until(lambda: half_open(ns) == 0, "the requests to go")
        records = tracer.stop()
    assert embryonic(ns) == good
    assert proof(records, ns) == {"EmbryonicRsts": (good, good, 0)}


def test_what_was_reset_before_tracing_is_not_counted_whenever_somebody_listens(
    ns: Namespace, host: Host, listening: Program
) -> None:
    """In one namespace a listener is there as tracing begins, in another it comes later."""
    older, count = 23, 5
    with namespace() as other:
        add_silent_host(other)
        with Host(other) as caller, Program("tt-late", other.enter) as late:
            late.do("bind", name="l", address=NEAR, port=PORT)
            late.do("listen", name="l", backlog=100)
            for place, sender in ((ns, host), (other, caller)):
                come_and_go(place, sender, older)
            late.do("close", name="l")
            names = f"{ns.name},{other.name}"
            with Tracer("handshakes", "--netns", names) as tracer:
                late.do("bind", name="m", address=NEAR, port=PORT)
                late.do("listen", name="m", backlog=100)
                for place, sender in ((ns, host), (other, caller)):
                    come_and_go(place, sender, count, older)
                records = tracer.stop()
        for place in (ns, other):
            assert proof(records, place) == {"EmbryonicRsts": (count, count, 0)}


def test_they_are_those_of_the_namespaces_asked_for_live_and_replayed(
    ns: Namespace, host: Host, listening: Program, tmp_path: Path
) -> None:
    mine, theirs, kept = 11, 17, tmp_path / "kept"
    with namespace() as other:
        add_silent_host(other)
        names = f"{ns.name},{other.name}"
        with (
            Host(other) as caller,
            server_in(other, address=NEAR),
            Tracer("handshakes", "--netns", names, "-w", str(kept)) as both,
            Tracer("handshakes", "--netns", ns.name, json=False) as one,
        ):
            reset(ns, host, listening, mine)
            reset(other, caller, listening, theirs)
            wait_until(lambda: embryonic(other) == theirs, "theirs to be reset")
            wait_until(lambda: embryonic(ns) == mine, "mine to be reset")
            one.stop()
            records = both.stop()
        narrowed = replayed(kept, "--netns", other.name)
        assert proof(records, ns) == {"EmbryonicRsts": (mine, mine, 0)}
        for told in (records, narrowed):
            assert proof(told, other) == {"EmbryonicRsts": (theirs, theirs, 0)}
        assert proof(narrowed, ns) == {}
    assert f"of EmbryonicRsts {mine} are half-open" in one.stdout


# --- what there is no room for --------------------------------------------------------


def shown(
    view: Callable[[Output, Notices, Look], View],
    form: str,
    path: Path,
    settings: Settings,
    act: Callable[[], None],
) -> list[str]:
    """What a session prints, of which this is all that happens."""
    limits, output = Limits(seconds=60), Output(path)

    def ready() -> None:
        act()
        limits.stop = "count"

    look = Look(form=form)
    Session(settings, view(output, Notices(False), look), ready=ready, limits=limits).run()
    output.close()
    return path.read_text().splitlines()


def have_room(monkeypatch: pytest.MonkeyPatch, **entries: int) -> None:
    load = CoreObject.load

    def small(bpf: CoreObject) -> None:
        for name, count in entries.items():
            bpf.resize(name, count)
        load(bpf)

    monkeypatch.setattr(CoreObject, "load", small)


def close_before_it_is_finished(ns: Namespace, host: Host, port: int, count: int) -> None:
    """Children that a SYN with data makes, and that end with their listener."""
    with Program("tt-short", ns.enter) as program:
        program.do("bind", name="l", address=NEAR, port=port)
        program.do("listen", name="l", backlog=100)
        before = ns.counters()["TcpPassiveOpens"]
        for i in range(count):
            host.send(SYN, FIRST + i, port, data=b"x")
        wait_until(lambda: ns.counters()["TcpPassiveOpens"] == before + count, "the children")
        program.do("close", name="l")


@pytest.mark.parametrize("form", ["json", "table"])
def test_namespaces_that_there_is_no_room_for_are_said_with_what_was_counted_there(
    ns: Namespace,
    host: Host,
    listening: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
) -> None:
    resets, children = (3, 5), (7, 11)  # of the first namespace, which has room, and the second
    have_room(monkeypatch, tt_unrecorded=1, tt_untold=1)
    with namespace() as other, ExitStack() as stack:
        add_silent_host(other)
        caller = stack.enter_context(Host(other))
        there = stack.enter_context(server_in(other, address=NEAR))
        spaces = ((ns, host, listening), (other, caller, there))
        for place, _, _ in spaces:
            sysctl(place, "tcp_fastopen", FAST_OPEN)

        def act() -> None:
            for number, (place, sender, program) in enumerate(spaces):
                reset(place, sender, program, resets[number])
                wait_until(partial(has_reset, place, resets[number]), "the RSTs")
                close_before_it_is_finished(place, sender, PORT + 1, children[number])

        settings = Settings(
            Filters(netns=frozenset({ns.inode, other.inode})),
            kinds=frozenset({"handshake"}),
            snapshots=True,
            reconcile=True,
        )
        lines = shown(HandshakesView, form, tmp_path / "out", settings, act)
        inodes = ns.inode, other.inode
    if form == "table":
        rest = (
            f"{children[1]} of PassiveOpens, {resets[1]} of EmbryonicRsts or SyncookiesRecv at most"
        )
        (line,) = (line for line in lines if "more network namespaces than" in line)
        assert line.endswith(rest)
        return
    records = checked(lines)
    lost = {r["of"]: (r["count"], r["why"]) for r in records if r["kind"] == "lost"}
    assert lost == {
        "PassiveOpens": (children[1], "map"),
        "EmbryonicRsts or SyncookiesRecv at most": (resets[1], "map"),
    }
    left = {
        (r["netns"], r["counter"]): r["unexplained"]
        for r in records
        if r["kind"] == "reconciliation"
    }
    assert left == {
        (inodes[0], "PassiveOpens"): 0,
        (inodes[0], "EmbryonicRsts"): 0,
        (inodes[1], "PassiveOpens"): children[1],
        (inodes[1], "EmbryonicRsts"): resets[1],
    }


def test_syn_acks_sent_again_that_there_is_no_room_to_count_are_left_over_and_said(
    ns: Namespace, host: Host, listening: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first namespace in which one is sent again has the room."""
    have_room(monkeypatch, tt_untold=1)
    with namespace() as other:
        add_silent_host(other)
        with Host(other) as caller, server_in(other, address=NEAR):

            def act() -> None:
                for place, sender, count in ((ns, host, 3), (other, caller, 5)):
                    knock(place, sender, count)
                    wait_until(partial(has_answered_again, place, count), "second SYN-ACKs")

            settings = Settings(
                Filters(netns=frozenset({ns.inode, other.inode})),
                kinds=frozenset({"handshake"}),
                snapshots=True,
                reconcile=True,
            )
            records = checked(shown(HandshakesView, "json", tmp_path / "out", settings, act))
        mine, theirs = (proof(records, place)["TCPSynRetrans"] for place in (ns, other))
    assert mine[0] == mine[1] >= 3
    assert theirs[0] == theirs[2] >= 5
    (lost,) = (r for r in records if r["kind"] == "lost")
    assert (lost["of"], lost["why"], lost["count"]) == ("TCPSynRetrans", "map", theirs[2])


@pytest.mark.parametrize("form", ["json", "table"])
def test_rsts_that_there_is_no_room_to_count_by_sort_are_counted_and_said(
    ns: Namespace,
    host: Host,
    client: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    form: str,
) -> None:
    """The first sort finds its place, the second the only one of those without peer and owner."""
    shut, broken = 13, 5
    have_room(monkeypatch, tt_resets=1, tt_resets_rest=1)
    with server_in(ns) as server:

        def act() -> None:
            send(host, SYN, shut, to=SHUT_PORT)
            wait_until(lambda: ns.counters()["TcpOutRsts"] == shut, "the answers")
            for i in range(broken):
                client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
                server.do("accept", name=f"s{i}", listener="l")
                server.do("reset", name=f"s{i}")
                assert client.do("error", name=f"c{i}")["error"] == "ECONNRESET"

        settings = Settings(
            Filters(netns=frozenset({ns.inode})),
            kinds=frozenset({"reset"}),
            reconcile=True,
            count_resets=True,
        )
        lines = shown(ResetsView, form, tmp_path / "out", settings, act)
    text = "\n".join(lines)
    if form == "table":
        assert f"{broken} are counted without peer and owner" in text
        assert f"{broken} more are in no row" in text
        return
    records = checked(lines)
    (lost,) = (r for r in records if r["kind"] == "lost")
    assert (lost["of"], lost["count"], lost["why"]) == ("reset", broken, "map")
    assert sum(r["count"] for r in records if r["kind"] == "reset_summary") == shut + broken
