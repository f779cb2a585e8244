"""--comm: a process is matched by what it is called when something happens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import TRANSITIONS, Namespace, Record, Tracer, namespace
from tests.kernel.test_filter_matrix import read
from tests.programs.driver import Program
from tests.programs.reading import CHILD_BIRTH, life, steps

pytestmark = pytest.mark.kernel

ADDRESS, PORT = "127.0.0.1", 8001
LATE, OTHERS = 211, 97


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def shells(directory: Path, *names: str) -> list[str]:
    """The shell under other names, so that its processes are called so."""
    paths = [directory / name for name in names]
    for path in paths:
        os.symlink("/bin/bash", path)
    return [str(path) for path in paths]


def call(ns: Namespace, shell: str) -> None:
    """A new process that connects, and does nothing before that."""
    script = f"exec 3<>/dev/tcp/{ADDRESS}/{PORT}"
    subprocess.run([*ns.enter, shell, "-c", script], check=True)


@pytest.mark.parametrize("filters", [["--comm", "tt-l[ai]te,tt-x*"], ["--exclude", "comm=tt-ot*"]])
def test_of_processes_that_begin_later_no_first_connection_is_missed(
    ns: Namespace, tmp_path: Path, filters: list[str]
) -> None:
    late, other = shells(tmp_path, "tt-late", "tt-other")
    with Program("tt-server", ns.enter) as server:
        server.do("bind", name="l", address=ADDRESS, port=PORT)
        server.do("listen", name="l", backlog=512)
        given = ["events", "--kind", "handshake", "--netns", ns.name, *filters]
        before = ns.counters()["TcpActiveOpens"]
        with Tracer(*given) as tracer:
            for i in range(LATE):
                call(ns, late)
                if i < OTHERS:
                    call(ns, other)
            server.do("accept_some", listener="l", count=LATE + OTHERS)
        assert ns.counters()["TcpActiveOpens"] - before == LATE + OTHERS
    told = [r for r in tracer.records if r["kind"] == "handshake" and r["role"] == "active"]
    assert [r["comm"] for r in told] == ["tt-late"] * LATE
    assert len({r["pid"] for r in told}) == LATE


def converse(client: Program, server: Program) -> int:
    """One connection from beginning to end; returns the client's port."""
    port = client.do("connect", name="c", address=ADDRESS, port=PORT)["port"]
    server.do("accept", name="a", listener="l")
    client.do("half_close", name="c")
    server.do("receive", name="a")
    server.do("close", name="a")
    client.do("receive", name="c")
    client.do("close", name="c")
    return int(port)


def told_by(records: list[Record], port: int) -> list[tuple[str, str]]:
    """Name and new state of a client's transitions."""
    return [(r["comm"], r["new"]) for r in records if r["kind"] == "state" and r["lport"] == port]


def what(records: list[Record]) -> list[tuple[object, ...]]:
    return [(r["kind"], r["lport"], r["rport"], r.get("old"), r.get("new")) for r in records]


def test_a_process_that_changes_its_name_is_matched_by_the_name_of_the_moment(
    ns: Namespace, tmp_path: Path
) -> None:
    path = str(tmp_path / "all.rec")
    with Program("tt-first", ns.enter) as client, Program("tt-server", ns.enter) as server:
        server.do("bind", name="l", address=ADDRESS, port=PORT)
        server.do("listen", name="l")
        live = Tracer("events", "--netns", ns.name, "--comm", "tt-second")
        with Tracer("record", path, "--netns", ns.name, json=False), live:
            first = converse(client, server)
            held = client.do("connect", name="h", address=ADDRESS, port=PORT)["port"]
            server.do("accept", name="ha", listener="l")
            client.do("rename", name="tt-second")
            second = converse(client, server)
            client.do("close", name="h")
            client.do("rename", name="tt-third")
            third = converse(client, server)
    replayed = read("events", "-r", path, "--comm", "tt-second")
    for records in (live.records, replayed):
        assert {r["comm"] for r in records} == {"tt-second"}
        assert told_by(records, first) == told_by(records, third) == []
        assert ("tt-second", "ESTABLISHED") in told_by(records, second)
        # what it had under its first name closes under its second
        assert [new for _, new in told_by(records, held)][:1] == ["FIN_WAIT1"]
        assert {r["kind"] for r in records} == {"state", "handshake", "connection"}
    assert what(live.records) == what(replayed)


def test_what_waits_for_accept_is_shown_to_any_holder_of_its_listener(
    ns: Namespace, tmp_path: Path
) -> None:
    path = str(tmp_path / "all.rec")
    with Program("tt-master", ns.enter) as master, Program("tt-client", ns.enter) as client:
        master.do("bind", name="l", address=ADDRESS, port=PORT)
        master.do("listen", name="l")
        worker = master.fork()
        worker.do("rename", name="tt-worker")
        live = Tracer(*TRANSITIONS, "--netns", ns.name, "--comm", "tt-worker")
        with Tracer("record", path, "--netns", ns.name, json=False), live:
            port = client.do("connect", name="c", address=ADDRESS, port=PORT)["port"]
            master.do("accept", name="a", listener="l")
    replayed = read(*TRANSITIONS, "-r", path, "--comm", "tt-worker")
    for records in (live.records, replayed):
        told = life(records, PORT, port)
        assert steps(told) == CHILD_BIRTH
        assert {(r["comm"], r["owner_is"]) for r in told} == {("tt-master", "listener")}
        assert len(told) == len(records)


def test_names_in_a_hostile_process_s_hands_are_matched_as_bytes(ns: Namespace) -> None:
    with Program("tt-server", ns.enter) as server, Program("tt-client", ns.enter) as client:
        server.do("bind", name="l", address=ADDRESS, port=PORT)
        server.do("listen", name="l")
        client.do("rename", name="\x1b[31m*\u00e9")
        with Tracer("events", "--netns", ns.name, "--comm", "\x1b[[]31m[*]??") as tracer:
            port = converse(client, server)
    assert told_by(tracer.records, port)[0] == ("\x1b[31m*\u00e9", "ESTABLISHED")
