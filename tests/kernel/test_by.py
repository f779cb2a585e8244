"""--by: the same events put together by other keys; the sums stay."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, inside, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel

FEW, MANY = 3, 17
BACKLOG = 2
NEAR, FAR = "127.0.1.1", "127.0.2.1"


@pytest.fixture
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def converse(room: Namespace) -> None:
    with server_in(room) as server:
        server.tell("serve", listener="l")
        for name, count in (("tt-few", FEW), ("tt-many", MANY)):
            with Program(name, room.enter) as caller:
                caller.do("call", address=ADDRESS, port=PORT, count=count, half=True)
        server.stop()


def overflow(room: Namespace) -> list[socket.socket]:
    """A queue that is full, then one SYN each: FEW from one network, MANY from another."""

    def work() -> list[socket.socket]:
        server = socket.socket()
        server.bind(("0.0.0.0", PORT))
        server.listen(BACKLOG)
        made = [server]
        for source, count in ((NEAR, BACKLOG + 1), (NEAR, FEW), (FAR, MANY)):
            for _ in range(count):
                one = socket.socket()
                one.bind((source, 0))
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", PORT))
                made.append(one)
        return made

    made: list[socket.socket] = inside(room, work)
    return made


def rows(records: list[Record], kind: str) -> list[Record]:
    return [record for record in records if record["kind"] == kind]


def again(path: Path, *arguments: str) -> str:
    line = [*COMMAND, *arguments, "-r", str(path)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True).stdout


@pytest.mark.parametrize(
    ("by", "key", "opened"),
    [
        ("comm", "comm", {"tt-few": FEW, "tt-many": MANY}),
        ("raddr", "raddr", {ADDRESS: 2 * (FEW + MANY)}),
        ("peer/8", "peer", {f"{ADDRESS.split('.')[0]}.0.0.0/8": 2 * (FEW + MANY)}),
    ],
)
def test_sockets_opened_add_up_to_the_callers_counts_by_any_key(
    room: Namespace, by: str, key: str, opened: dict[str, int]
) -> None:
    with Tracer("states", "--by", by, "--netns", room.name) as tracer:
        converse(room)
    found = {r[key]: r["opened"] for r in rows(tracer.records, "state_summary")}
    assert {name: found.get(name) for name in opened} == opened
    # each is opened by its caller and by the peer of a listener
    assert sum(found.values()) == 2 * (FEW + MANY) == 2 * room.counters()["TcpActiveOpens"]


@pytest.mark.parametrize("by", ["comm", "lport,comm", "netns", "peer/24,family"])
@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_states_by_keys_print_from_a_recording_what_their_run_printed(
    room: Namespace, tmp_path: Path, by: str, form: str
) -> None:
    path, shown = tmp_path / "a.rec", ["states", "--by", by, "-f", form]
    with Tracer(*shown, "-w", str(path), "--netns", room.name, json=False) as tracer:
        converse(room)
    assert again(path, *shown) == tracer.stdout != ""


def test_counts_by_process_are_not_taken_for_what_needs_records(
    room: Namespace, tmp_path: Path
) -> None:
    path = tmp_path / "a.rec"
    with Tracer("states", "-w", str(path), "--netns", room.name, json=False):
        converse(room)
    line = [*COMMAND, "states", "--by", "raddr", "-r", str(path)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "keeps counts by process" in done.stderr
    assert "tt-many" in again(path, "states", "--by", "comm")


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("reason", {("accept_queue_full",): FEW + MANY}),
        ("lport,stage", {(PORT, "syn"): FEW + MANY}),
        ("peer/24", {("127.0.1.0/24",): FEW, ("127.0.2.0/24",): MANY}),
        ("reason,raddr", {("accept_queue_full", NEAR): FEW, ("accept_queue_full", FAR): MANY}),
    ],
)
def test_drops_by_keys_are_as_many_as_each_side_sent_and_the_kernel_counted(
    room: Namespace, by: str, wanted: dict[tuple[object, ...], int]
) -> None:
    with Tracer("drops", "--syn", "--by", by, "--netns", room.name) as tracer:
        made = overflow(room)
        counters = room.counters()
        records = tracer.stop()
        assert made
    names = [word.partition("/")[0] for word in by.split(",")]
    found = rows(records, "drop_summary")
    assert {tuple(r[name] for name in names): r["count"] for r in found} == wanted
    assert counters["TcpExtListenDrops"] == FEW + MANY
    (proof,) = (r for r in rows(records, "reconciliation") if r["counter"] == "ListenDrops")
    assert (proof["kernel"], proof["unexplained"]) == (FEW + MANY, 0)


@pytest.mark.parametrize("by", ["peer/24", "comm,reason"])
def test_drops_by_keys_print_from_a_recording_what_their_run_printed(
    room: Namespace, tmp_path: Path, by: str
) -> None:
    path, shown = tmp_path / "a.rec", ["drops", "--syn", "--by", by, "--sort", "count"]
    with Tracer(*shown, "-w", str(path), "--netns", room.name, json=False) as tracer:
        made = overflow(room)
        tracer.stop()
        assert made
    assert again(path, *shown) == tracer.stdout
    assert str(FEW + MANY if by != "peer/24" else MANY) in tracer.stdout.splitlines()[2].split()


@pytest.mark.parametrize(
    ("by", "key", "wanted"),
    [("netns", "netns", None), ("lport", "lport", PORT), ("laddr,pid", "laddr", ADDRESS)],
)
def test_accepts_by_keys_are_as_many_as_the_callers_made(
    room: Namespace, by: str, key: str, wanted: object
) -> None:
    with Tracer("accepts", "--by", by, "--netns", room.name) as tracer:
        converse(room)
    (found,) = rows(tracer.records, "accept_summary")
    assert found[key] == (room.inode if wanted is None else wanted)
    assert found["accepts"] == FEW + MANY


@pytest.mark.parametrize("by", ["comm,role", "cgroup", "laddr", "family,netns"])
def test_handshakes_by_keys_are_as_many_as_the_kernel_opened(room: Namespace, by: str) -> None:
    with Tracer("handshakes", "--by", by, "--netns", room.name) as tracer:
        converse(room)
    found = rows(tracer.records, "handshake_summary")
    for role in ("active", "passive"):
        assert sum(r["attempts"] for r in found if r["role"] == role) == FEW + MANY
    assert checked(map(json.dumps, found))
