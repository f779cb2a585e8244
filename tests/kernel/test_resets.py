"""`reset`: each RST that the kernel counts, what it came from, whose it was, what was got of it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.kernel.test_unrecorded import shown
from tests.programs.driver import Program
from tests.programs.places import (
    ADDRESS,
    CALLED,
    NEAR,
    PORT,
    SHUT_PORT,
    SILENT,
    add_silent_host,
    build,
    link,
    server_in,
)
from tests.schemas import checked
from tracer.kernel import ladder
from tracer.kernel.features import Choice, choose, has_exchanges, why_not
from tracer.kernel.resets import reason_names
from tracer.kernel.settings import Settings
from tracer.probes import ANSWER, Subject
from tracer.views.resets import ResetsView
from tracer.wire.filters import Filters

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

IN_GUESTS = pytest.mark.guest("reset", "tp_btf")
COUNT = 7  # of each way
COUNTERS = (
    *("OutRsts", "EstabResets"),
    *("TCPAbortOnClose", "TCPAbortOnData", "TCPAbortOnLinger", "TCPAbortOnTimeout"),
)


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def moved(ns: Namespace) -> dict[str, int]:
    """COUNTERS of a namespace, by the kernel's own account, that are not 0."""
    found = ns.counters()
    told = {n: found.get(f"Tcp{n}", found.get(f"TcpExt{n}", 0)) for n in COUNTERS}
    return {name: count for name, count in told.items() if count}


def proof(records: list[Record], ns: Namespace) -> dict[str, tuple[int, int, int]]:
    """What the kernel counted, what was told of that, what is left over."""
    return {
        r["counter"]: (r["kernel"], r["explained"], r["unexplained"])
        for r in records
        if r["kind"] == "reconciliation" and r["netns"] == ns.inode and r["counter"] in COUNTERS
    }


def open_one(server: Program, client: Program, address: str = ADDRESS) -> None:
    client.do("connect", name="c", address=address, port=PORT)
    server.do("accept", name="s", listener="l")


def await_fin_acknowledged(ns: Namespace) -> None:
    """The peer's kernel takes its time for that: until then data would bring the ACK along."""
    wait_until(
        lambda: ns.run("ss", "-tnH", "state", "fin-wait-2", f"sport = :{PORT}"),
        "our FIN to be acknowledged",
    )


def unread(ns: Namespace) -> bool:
    rows = ns.run("ss", "-tnH", f"sport = :{PORT}").splitlines()
    return any(row.split()[1] != "0" for row in rows)


# --- what RSTs come from ----------------------------------------------------------


def close_unread(ns: Namespace, server: Program, client: Program) -> str | None:
    open_one(server, client)
    client.do("send", name="c", count=17)
    wait_until(lambda: unread(ns), "the data to have come")
    server.do("close", name="s")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def linger0(ns: Namespace, server: Program, client: Program) -> str | None:
    open_one(server, client)
    server.do("reset", name="s")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def disconnect(ns: Namespace, server: Program, client: Program) -> str | None:
    open_one(server, client)
    server.do("give_up_by_connect", name="s")
    server.do("close", name="s")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def kill(ns: Namespace, server: Program, client: Program) -> str | None:
    open_one(server, client)
    ns.run("ss", "-K", f"sport = :{PORT}")
    assert server.do("error", name="s")["error"] == "ECONNABORTED"
    server.do("close", name="s")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def data_after_shutdown(ns: Namespace, server: Program, client: Program) -> str | None:
    """Our side waits for the peer's FIN, and takes no data."""
    open_one(server, client)
    server.do("shut", name="s")
    await_fin_acknowledged(ns)
    client.do("send", name="c")
    got: str = client.do("error", name="c")["error"]
    assert server.do("error", name="s")["error"] == "ECONNRESET"
    server.do("close", name="s")
    client.do("close", name="c")
    return got


def data_after_close(ns: Namespace, server: Program, client: Program) -> str | None:
    """A mini-socket has taken over by then."""
    open_one(server, client)
    server.do("close", name="s")
    await_fin_acknowledged(ns)
    # none does where the ACK finds close() still at work: tcp_rcv_state_process()'s "bad case"
    while "timewait" not in ns.run("ss", "-Htno", "state", "fin-wait-2"):
        client.do("close", name="c")
        open_one(server, client)
        server.do("close", name="s")
        await_fin_acknowledged(ns)
    client.do("send", name="c")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def linger2(ns: Namespace, server: Program, client: Program) -> str | None:
    open_one(server, client)
    server.do("wait_not_for_fin", name="s")
    server.do("shut", name="s")
    await_fin_acknowledged(ns)
    server.do("close", name="s")
    got: str = client.do("error", name="c")["error"]
    client.do("close", name="c")
    return got


def refuse(ns: Namespace, server: Program, client: Program) -> str | None:
    return client.attempt("connect", name="c", address=ADDRESS, port=SHUT_PORT)["errno"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Way:
    """How the server's side comes to send a RST, and what is told of both sides."""

    act: Callable[[Namespace, Program, Program], str | None]
    by: str
    local: bool
    reason: str
    state: str | None
    errno: str | None  # of the side that sent it
    peer_state: str
    peer_errno: str
    answers: str | None = None


WAYS = (
    Way(
        *(close_unread, "app_close_unread", True, "TCP_ABORT_ON_CLOSE", "ESTABLISHED", None),
        *("ESTABLISHED", "ECONNRESET"),
    ),
    Way(linger0, "linger0", True, "TCP_STATE", "ESTABLISHED", None, "ESTABLISHED", "ECONNRESET"),
    Way(
        *(disconnect, "disconnect", True, "TCP_STATE", "ESTABLISHED", "ECONNRESET"),
        *("ESTABLISHED", "ECONNRESET"),
    ),
    Way(
        *(kill, "killed", True, "TCP_STATE", "ESTABLISHED", "ECONNABORTED"),
        *("ESTABLISHED", "ECONNRESET"),
    ),
    Way(
        *(data_after_shutdown, "data_after_close", False, "TCP_ABORT_ON_DATA", "FIN_WAIT2"),
        *("ECONNRESET", "CLOSE_WAIT", "EPIPE", "other"),
    ),
    Way(
        *(data_after_close, "time_wait", False, "TCP_TIMEWAIT_SOCKET", "TIME_WAIT", None),
        *("CLOSE_WAIT", "EPIPE", "other"),
    ),
    Way(
        *(linger2, "linger2", True, "TCP_ABORT_ON_LINGER", "FIN_WAIT2", None),
        *("CLOSE_WAIT", "EPIPE"),
    ),
    Way(
        *(refuse, "no_socket", False, "NO_SOCKET", None, None),
        *("SYN_SENT", "ECONNREFUSED", "syn"),
    ),
)


def in_guests(way: Way) -> list[pytest.MarkDecorator]:
    """One is told apart otherwise on older kernels."""
    return [IN_GUESTS] if way.act is kill else []


def told_so(reason: str | None) -> str | None:
    """The reason, where the kernel has a word for it: since Linux 6.10, for all since 6.12."""
    return reason if reason in reason_names().values() else None


@pytest.mark.parametrize(
    "way",
    [pytest.param(way, id=way.by, marks=in_guests(way)) for way in WAYS],
)
def test_each_way_is_told_once_with_owner_state_and_what_the_application_gets(
    ns: Namespace, client: Program, way: Way
) -> None:
    with server_in(ns) as server, Tracer("events", "--netns", ns.name) as tracer:
        got = [way.act(ns, server, client) for _ in range(COUNT)]
        wait_until(
            lambda: sum(r["kind"] == "reset" for r in tracer.so_far()) >= 2 * COUNT, "all RSTs"
        )
        counted = moved(ns)
        records = tracer.stop()
    assert got == [way.peer_errno] * COUNT
    sent = [r for r in records if r["kind"] == "reset" and r["direction"] == "sent"]
    came = [r for r in records if r["kind"] == "reset" and r["direction"] == "received"]
    assert len(sent) == len(came) == COUNT == counted["OutRsts"]
    for one in sent:
        assert (one["by"], one["local"]) == (way.by, way.local)
        assert one["reason"] == told_so(way.reason)
        assert (one["state"], one["errno"], one["answers"]) == (way.state, way.errno, way.answers)
        assert one["pid"] == (None if way.by == "no_socket" else server.pid)
        assert one["lport"] == (SHUT_PORT if way.by == "no_socket" else PORT)
    for one in came:
        assert (one["by"], one["local"], one["reason"]) == ("peer", False, None)
        assert (one["state"], one["errno"]) == (way.peer_state, way.peer_errno)
        assert one["pid"] == client.pid
    assert {(r["lport"], r["rport"]) for r in sent} == {(r["rport"], r["lport"]) for r in came}
    assert tracer.counts["lost"] == 0


ANSWERED = {rung.how: rung for rung in ANSWER.rungs if not why_not(rung)}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=pytest.mark.guest(ANSWER.name, how)) for how in ANSWERED]
)
def test_a_rst_without_a_connection_is_told_once_by_each_way_to_see_it(
    ns: Namespace, client: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    """Where the tracepoint tells of it, fexit is not taken but here."""
    ways = [way for way in WAYS if way.state in (None, "TIME_WAIT")]

    def chosen(subject: Subject) -> Choice:
        asked = subject.name == ANSWER.name
        return Choice(subject, ANSWERED[how], {}) if asked else choose(subject)

    monkeypatch.setattr(ladder, "choose", chosen)
    settings = Settings(
        Filters(netns=frozenset({ns.inode})),
        kinds=frozenset({"reset"}),
        reconcile=True,
        count_resets=True,
    )
    with server_in(ns) as server:

        def act() -> None:
            for _ in range(COUNT):
                for way in ways:
                    way.act(ns, server, client)

        records = checked(shown(ResetsView, "json", tmp_path / "out", settings, act))
        counted = moved(ns)
    count = counted["OutRsts"]
    assert proof(records, ns)["OutRsts"] == (count, count, 0)
    rows = [r for r in records if r["kind"] == "reset_summary" and r["direction"] == "sent"]
    told = {r["by"]: (r["count"], r["pid"]) for r in rows}
    # a number in place of a cookie is not handed on to what is left of a socket
    owner = server.pid if has_exchanges() else None
    assert told == {way.by: (COUNT, None if way.state is None else owner) for way in ways}


@IN_GUESTS
def test_every_rst_the_kernel_counts_is_explained(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, Tracer("resets", "--netns", ns.name) as tracer:
        for way in WAYS:
            for _ in range(COUNT):
                way.act(ns, server, client)
        counted = moved(ns)
        records = tracer.stop()
    assert counted["OutRsts"] == COUNT * len(WAYS)
    assert proof(records, ns) == {name: (n, n, 0) for name, n in counted.items()}
    rows = [r for r in records if r["kind"] == "reset_summary"]
    sent = {r["by"]: r["count"] for r in rows if r["direction"] == "sent"}
    assert sent == {way.by: COUNT for way in WAYS}
    assert sum(r["count"] for r in rows if r["direction"] == "received") == COUNT * len(WAYS)
    assert tracer.counts["lost"] == 0


def test_children_that_nobody_accepted_are_reset_as_their_listener_closes(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns) as server, Tracer("resets", "--netns", ns.name) as tracer:
        for i in range(COUNT):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
        server.do("close", name="l")
        got = [client.do("error", name=f"c{i}")["error"] for i in range(COUNT)]
        counted = moved(ns)
        records = tracer.stop()
    assert got == ["ECONNRESET"] * COUNT
    rows = {r["by"]: r for r in records if r["kind"] == "reset_summary"}
    assert rows["listener_closed"]["count"] == COUNT
    assert rows["listener_closed"]["pid"] == server.pid
    (gap,) = [r for r in records if r["kind"] == "listener_gap"]
    assert (gap["lport"], gap["reset_in_queue"], gap["refused"]) == (PORT, COUNT, 0)
    assert proof(records, ns) == {name: (n, n, 0) for name, n in counted.items()}


def test_data_that_comes_with_the_ack_of_our_fin_is_answered_in_whatever_state(
    ns: Namespace, client: Program
) -> None:
    """The socket is destroyed before the RST is sent; its owner is known all the same."""
    with server_in(ns) as server, Tracer("resets", "--netns", ns.name) as tracer:
        for _ in range(97):
            open_one(server, client)
            server.do("close", name="s")
            client.do("send", name="c")
            assert client.do("error", name="c")["error"] in ("EPIPE", "ECONNRESET")
            client.do("close", name="c")
        counted = moved(ns)
        records = tracer.stop()
    # what comes after the RST, such as an ACK that was under way, may be answered by another
    assert counted["OutRsts"] >= 97
    assert tracer.counts["lost"] == 0
    told = proof(records, ns)
    assert told == {name: (n, n, 0) for name, n in counted.items()}, records
    sent = [r for r in records if r["kind"] == "reset_summary" and r["direction"] == "sent"]
    # between the socket and what remains of it the packet may meet the listener
    assert {r["by"] for r in sent} <= {"data_after_close", "time_wait", "listener"}
    assert {r["pid"] for r in sent} == {server.pid}
    late = sum(r["count"] for r in sent if r["by"] == "data_after_close")
    assert late == counted.get("TCPAbortOnData", 0)


# --- data after close -------------------------------------------------------------


def test_a_connection_that_data_came_to_after_it_was_shut_ended_by_our_rst(
    ns: Namespace, client: Program
) -> None:
    """Not by one that was received: the kernel's own hook says so, and its stack does not."""
    with server_in(ns) as server, Tracer("connections", "--netns", ns.name) as tracer:
        for _ in range(COUNT):
            data_after_shutdown(ns, server, client)
        wait_until(lambda: len(tracer.so_far()) >= 2 * COUNT, "all to have ended")
        records = tracer.stop()
    assert moved(ns)["TCPAbortOnData"] == COUNT
    ends = {(r["pid"], r["end"], r["errno"]) for r in records}
    assert ends == {
        (server.pid, "rst_sent", "ECONNRESET"),
        (client.pid, "rst_received", "EPIPE"),
    }


def test_a_rst_to_one_that_was_shut_is_still_one_received(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, Tracer("events", "--netns", ns.name) as tracer:
        for _ in range(COUNT):
            open_one(server, client)
            server.do("shut", name="s")
            await_fin_acknowledged(ns)
            client.do("reset", name="c")
            assert server.do("error", name="s")["error"] == "ECONNRESET"
            server.do("close", name="s")
        wait_until(
            lambda: sum(r["kind"] == "reset" for r in tracer.so_far()) >= 2 * COUNT, "all RSTs"
        )
        records = tracer.stop()
    resets = [r for r in records if r["kind"] == "reset"]
    came = [r for r in resets if r["direction"] == "received"]
    assert [(r["state"], r["errno"], r["pid"]) for r in came] == [
        ("FIN_WAIT2", "ECONNRESET", server.pid)
    ] * COUNT
    assert len(resets) == 2 * COUNT
    ends = {r["end"] for r in records if r["kind"] == "connection" and r["pid"] == server.pid}
    assert ends == {"rst_received"}


# --- how long it was silent, how much it carried ----------------------------------


def test_silence_age_and_bytes_are_those_of_the_application(ns: Namespace, client: Program) -> None:
    """To a tick of the kernel's, of at most 10 ms."""
    with server_in(ns) as server, Tracer("events", "--netns", ns.name) as tracer:
        before = time.monotonic_ns()
        open_one(server, client)
        opened = time.monotonic_ns()
        client.do("send", name="c", count=4099)
        server.do("receive", name="s", count=4099)
        server.do("send", name="s", count=17)
        client.do("receive", name="c", count=17)
        sent = time.monotonic_ns()
        wait_until(lambda: time.monotonic_ns() > sent + 300_000_000, "0.3 s of silence")
        resetting = time.monotonic_ns()
        client.do("reset", name="c")
        assert server.do("error", name="s")["error"] == "ECONNRESET"
        done = time.monotonic_ns()
        wait_until(
            lambda: sum(r["kind"] == "reset" for r in tracer.so_far()) == 2, "both ends' RSTs"
        )
        records = tracer.stop()
    tick_us = 10_000
    resets = {r["direction"]: r for r in records if r["kind"] == "reset"}
    for one in resets.values():
        assert (resetting - opened) // 1000 <= one["age_us"] <= (done - before) // 1000
        for name in ("last_rx_us", "last_tx_us"):
            assert (resetting - sent) // 1000 - tick_us <= one[name]
            assert one[name] <= (done - before) // 1000 + tick_us
        assert one["idle_us"] <= min(one["last_rx_us"], one["last_tx_us"])
        assert (resetting - sent) // 1000 - 40_000 - tick_us <= one["idle_us"]  # a delayed ACK
    assert (resets["sent"]["tx_bytes"], resets["sent"]["rx_bytes"]) == (4099, 17)
    assert (resets["received"]["tx_bytes"], resets["received"]["rx_bytes"]) == (17, 4099)


def test_one_older_than_the_tracer_has_a_bound_of_its_age(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server:
        open_one(server, client)
        client.do("send", name="c", count=17)
        server.do("receive", name="s", count=17)
        with Tracer("events", "--netns", ns.name) as tracer:
            client.do("reset", name="c")
            server.do("error", name="s")
            wait_until(lambda: sum(r["kind"] == "reset" for r in tracer.so_far()) == 2, "both RSTs")
            records = tracer.stop()
    for one in (r for r in records if r["kind"] == "reset"):
        assert one["age_us"] is None
        assert one["age_at_least_us"] >= 0
        assert one["pid"] in (client.pid, server.pid)


def test_an_idle_timeout_shows_as_a_spike(ns: Namespace, client: Program, tmp_path: Path) -> None:
    """A server that forgets connections after a second of silence, live and in a recording."""
    kept = tmp_path / "kept"
    with (
        server_in(ns) as server,
        Tracer("resets", "--netns", ns.name, "-w", str(kept), json=False) as tracer,
    ):
        for i in range(COUNT):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
            server.do("accept", name=f"s{i}", listener="l")
            client.do("send", name=f"c{i}")
            server.do("receive", name=f"s{i}")
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 1.2, "the server's patience to end")
        for i in range(COUNT):
            server.do("reset", name=f"s{i}")
        for i in range(COUNT):
            client.do("error", name=f"c{i}")
        tracer.stop()
    (spike,) = [x for x in tracer.stdout.splitlines() if "idle timeout of the peer" in x]
    assert f"s: {COUNT} of {COUNT}: " in spike
    assert spike.startswith("1.")
    command = [*COMMAND, "resets", "-r", str(kept)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == tracer.stdout


# --- ports nobody heard -----------------------------------------------------------


def test_a_port_without_a_listener_is_told_with_its_times_and_those_refused(
    ns: Namespace, client: Program
) -> None:
    with (
        server_in(ns) as old,
        Program("tt-next", ns.enter) as new,
        Tracer("resets", "--netns", ns.name) as tracer,
    ):
        before = time.monotonic_ns()
        old.do("close", name="l")
        closed = time.monotonic_ns()
        for _ in range(97):
            answer = client.attempt("connect", name="x", address=ADDRESS, port=PORT)
            assert answer["errno"] == "ECONNREFUSED"
        new.do("bind", name="l", address=ADDRESS, port=PORT)
        opening = time.monotonic_ns()
        new.do("listen", name="l")
        opened = time.monotonic_ns()
        client.do("connect", name="d", address=ADDRESS, port=PORT)
        records = tracer.stop()
    (gap,) = [r for r in records if r["kind"] == "listener_gap"]
    assert (gap["lport"], gap["refused"], gap["reset_in_queue"]) == (PORT, 97, 0)
    assert (gap["closed_by_pid"], gap["closed_by_comm"]) == (old.pid, old.comm)
    assert (gap["opened_by_pid"], gap["opened_by_comm"]) == (new.pid, "tt-next")
    assert (opening - closed) // 1000 <= gap["gap_us"] <= (opened - before) // 1000
    (row,) = [r for r in records if r["kind"] == "reset_summary" and r["by"] == "no_socket"]
    assert (row["count"], row["pid"]) == (97, old.pid)


@pytest.mark.parametrize("older", [False, True], ids=["younger", "older"])
def test_a_refused_syn_is_of_the_process_that_held_the_port(
    ns: Namespace, client: Program, older: bool
) -> None:
    """Also by --pid, and of a listener that is older than the tracer."""
    with server_in(ns) as server:
        if not older:
            server.do("close", name="l")
        with Tracer("events", "--kind", "reset", "--pid", str(server.pid)) as tracer:
            if not older:
                server.do("bind", name="l", address=ADDRESS, port=PORT, share=True)
                server.do("listen", name="l")
            server.do("close", name="l")
            for _ in range(COUNT):
                client.attempt("connect", name="x", address=ADDRESS, port=PORT)
                client.attempt("connect", name="y", address=ADDRESS, port=SHUT_PORT)
            wait_until(lambda: len(tracer.so_far()) >= COUNT, "the RSTs")
            records = tracer.stop()
    assert len(records) == COUNT
    assert {(r["by"], r["pid"], r["owner_is"], r["lport"]) for r in records} == {
        ("no_socket", server.pid, "listener", PORT)
    }


# --- a storm ----------------------------------------------------------------------


def test_of_a_storm_every_rst_is_counted_and_records_of_it_are_limited(ns: Namespace) -> None:
    """SYNs to a port that nobody listens on: the table has all, whatever is sent or lost."""
    count, rounds = 60_013, 3
    command = [str(build("syns")), SILENT, NEAR, str(SHUT_PORT), str(count), "200000"]
    with (
        Tracer("resets", "--netns", ns.name) as table,
        Tracer("events", "--kind", "reset", "--netns", ns.name) as lines,
    ):
        for _ in range(rounds):
            ns.run(*command)
        wait_until(lambda: moved(ns)["OutRsts"] >= rounds * count, "the last one")
        documents, records = table.stop(), lines.stop()
    assert moved(ns)["OutRsts"] == rounds * count
    (row,) = [r for r in documents if r["kind"] == "reset_summary"]
    assert (row["by"], row["peer"], row["count"]) == ("no_socket", SILENT, rounds * count)
    assert proof(documents, ns) == {"OutRsts": (rounds * count, rounds * count, 0)}
    assert table.counts["matched"] == rounds * count
    (said,) = [line for line in table.stderr.splitlines() if line.startswith("limited:")]
    assert "without a connection, beyond 10000 a second and CPU, were counted, not sent" in said
    told = [r for r in records if r["kind"] == "reset"]
    limited = sum(r["count"] for r in records if r["kind"] == "lost" and r["why"] == "limited")
    assert lines.counts["lost"] == 0, lines.stderr
    assert lines.counts["matched"] == rounds * count == len(told) + limited
    assert 0 < len(told) < limited
    assert f", {limited} limited" in lines.stderr
    assert f"limited: {limited} beyond 1000 a second and CPU" in lines.stderr
    assert "all of them: tcptrace resets" in lines.stderr


def test_of_a_storm_from_more_hosts_than_there_is_room_for_the_sum_is_exact(ns: Namespace) -> None:
    count = hosts = 20_011
    ns.run("ip", "route", "add", "10.0.0.0/8", "via", SILENT)
    command = ["10.100.0.1", NEAR, str(SHUT_PORT), str(count), "100000", str(hosts)]
    with Tracer("resets", "--netns", ns.name, "--limit", "0") as tracer:
        ns.run(str(build("syns")), *command)
        wait_until(lambda: moved(ns).get("OutRsts", 0) >= count, "the last one")
        documents = tracer.stop()
    assert moved(ns)["OutRsts"] == count
    rows = [r for r in documents if r["kind"] == "reset_summary"]
    assert {(r["direction"], r["by"], r["reason"]) for r in rows} == {
        ("sent", "no_socket", told_so("NO_SOCKET"))
    }
    assert sum(r["count"] for r in rows) == count
    assert proof(documents, ns) == {"OutRsts": (count, count, 0)}
    (rest,) = [r for r in rows if r["peer"] is None]
    assert {r["count"] for r in rows if r["peer"]} == {1}
    assert rest["count"] == count - (len(rows) - 1) > 0


@pytest.mark.parametrize("by", ["lport", "rport", "laddr"])
def test_what_takes_records_says_how_many_more_were_counted(
    ns: Namespace, tmp_path: Path, by: str
) -> None:
    """The buffer is small, so some are lost: the rows have the others, a line says how many."""
    count, kept = 60_013, str(tmp_path / "kept")
    command = [str(build("syns")), SILENT, NEAR, str(SHUT_PORT), str(count), "200000"]
    asked = ("resets", "--by", by, "--netns", ns.name, "--buffer-pages", "1")
    with Tracer(*asked, "-w", kept, json=False) as tracer:
        ns.run(*command)
        wait_until(lambda: moved(ns).get("OutRsts", 0) >= count, "the last one")
        tracer.stop()
    closing = re.search(r", (\d+) lost in", tracer.stdout)
    assert closing is not None
    lost = int(closing[1])
    assert lost > 0
    assert f"\n{lost} more were counted, not sent: whose is not known\n" in tracer.stdout
    if by != "rport":  # of which the sender has many
        assert f" {count - lost} " in tracer.stdout
    # the recording has the counts
    replay = [*COMMAND, "resets", "-r", kept, "-j"]
    done = subprocess.run(replay, cwd=ROOT, capture_output=True, text=True, check=True)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    (row,) = [r for r in documents if r["kind"] == "reset_summary"]
    assert row["count"] == count
    assert proof(documents, ns) == {"OutRsts": (count, count, 0)}


# --- timers -----------------------------------------------------------------------


@IN_GUESTS
def test_a_peer_that_answers_no_probe_and_one_that_acknowledges_nothing_time_out() -> None:
    """Keepalive sends a RST, a retransmission that is given up does not."""
    with (
        link() as cable,
        Program("tt-called", cable.there.enter) as server,
        Program("tt-caller", cable.here.enter) as client,
        Tracer("resets", "--netns", cable.here.name) as tracer,
    ):
        server.do("bind", name="l", address=CALLED, port=PORT)
        server.do("listen", name="l")
        for name in ("k", "t"):
            client.do("connect", name=name, address=CALLED, port=PORT)
            server.do("accept", name=name, listener="l")
        client.do("keep_alive", name="k", idle=1, interval=1, probes=1)
        client.do("limit_time", name="t", limit_ms=500)
        cable.cut(cable.here)
        client.do("send", name="t", count=17)
        assert client.do("error", name="t")["error"] == "ETIMEDOUT"
        assert client.do("error", name="k")["error"] == "ETIMEDOUT"
        counted = moved(cable.here)
        records = tracer.stop()
        told = proof(records, cable.here)
    assert counted == {"OutRsts": 1, "EstabResets": 2, "TCPAbortOnTimeout": 2}
    assert told == {name: (n, n, 0) for name, n in counted.items()}
    (row,) = [r for r in records if r["kind"] == "reset_summary"]
    assert (row["by"], row["reason"]) == ("keepalive", told_so("TCP_KEEPALIVE_TIMEOUT"))
    assert (row["pid"], row["count"]) == (client.pid, 1)
