"""`listeners --by` and `connections --open --by`: sums are those of ss and of the workload."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT
from tests.schemas import checked

pytestmark = pytest.mark.kernel
FEW, MANY, BACKLOG = 3, 17, 2
OTHER = "127.0.1.1"
OLD = ("1-10s", "10-60s", "1-10m")


@dataclass
class Room:
    """Two servers, one of which listens twice, and two clients."""

    ns: Namespace
    one: Program
    two: Program
    few: Program
    many: Program


@pytest.fixture
def room() -> Iterator[Room]:
    with (
        namespace() as ns,
        Program("tt-one", ns.enter) as one,
        Program("tt-two", ns.enter) as two,
        Program("tt-few", ns.enter) as few,
        Program("tt-many", ns.enter) as many,
    ):
        for server, port, backlog in ((one, PORT, 100), (one, PORT + 1, 100), (two, PORT + 2, 2)):
            server.do("bind", name=f"l{port}", address=ADDRESS, port=port)
            server.do("listen", name=f"l{port}", backlog=backlog)
        yield Room(ns, one, two, few, many)


def connect(room: Room) -> None:
    """FEW and MANY wait at the first server's two ports; the second's queue is full."""
    room.few.do("hold", address=ADDRESS, port=PORT, count=FEW)
    room.many.do("hold", address=ADDRESS, port=PORT + 1, count=MANY)
    room.few.do("hold", address=ADDRESS, port=PORT + 2, count=BACKLOG + 1)


def of_kind(records: list[Record], kind: str) -> list[Record]:
    return [record for record in records if record["kind"] == kind]


def now(ns: Namespace, *arguments: str) -> list[Record]:
    """One look at what is open."""
    line = [*COMMAND, "connections", "--open", "-j", "--netns", ns.name, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines())


def queued(ns: Namespace) -> dict[int, int]:
    """Recv-Q of ss by port: what waits for accept()."""
    lines = ns.run("ss", "-Hltn").splitlines()
    return {int(line.split()[3].rpartition(":")[2]): int(line.split()[1]) for line in lines}


def test_listeners_by_their_process_are_sums_and_the_worst_peak(room: Room) -> None:
    with Tracer("listeners", "--by", "comm", "--netns", room.ns.name) as tracer:
        connect(room)
        waiting = queued(room.ns)
        records = tracer.stop()
    found = {r["comm"]: r for r in of_kind(records, "listener_summary")}
    assert waiting == {PORT: FEW, PORT + 1: MANY, PORT + 2: BACKLOG + 1}
    one, two = found["tt-one"], found["tt-two"]
    assert (one["listeners"], one["accept_queue"]) == (2, waiting[PORT] + waiting[PORT + 1])
    assert (one["finished"], one["accept_queue_peak"]) == (FEW + MANY, MANY)
    assert (two["listeners"], two["accept_queue"], two["finished"]) == (1, 3, 3)
    assert one["full_us"] == 0 < two["full_us"]


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ("lport", {(PORT,): FEW, (PORT + 1,): MANY, (PORT + 2,): BACKLOG + 1}),
        ("laddr", {(ADDRESS,): FEW + MANY + BACKLOG + 1}),
        ("comm,lport", {("tt-one", PORT): FEW, ("tt-one", PORT + 1): MANY, ("tt-two", 7003): 3}),
        (
            "listener",
            {(f"{ADDRESS}:{PORT + at}",): n for at, n in enumerate((FEW, MANY, BACKLOG + 1))},
        ),
    ],
)
def test_listeners_by_keys_have_the_queues_that_ss_has(
    room: Room, by: str, wanted: dict[tuple[object, ...], int]
) -> None:
    with Tracer("listeners", "--by", by, "--netns", room.ns.name) as tracer:
        connect(room)
        assert sum(queued(room.ns).values()) == sum(wanted.values())
        records = tracer.stop()
    found = of_kind(records, "listener_summary")
    assert {tuple(r[w] for w in by.split(",")): r["accept_queue"] for r in found} == wanted


def test_twins_of_one_address_are_one_listener_of_two_sockets(room: Room) -> None:
    for server, name in ((room.one, "a"), (room.two, "b")):
        server.do("bind", name=name, address=OTHER, port=PORT, share=True)
        server.do("listen", name=name, backlog=100)
    with Tracer("listeners", "--by", "listener", "--netns", room.ns.name) as tracer:
        room.many.do("hold", address=OTHER, port=PORT, count=MANY)
        records = tracer.stop()
    found = {r["listener"]: r for r in of_kind(records, "listener_summary")}
    twins = found[f"{OTHER}:{PORT}"]
    assert (twins["listeners"], twins["accept_queue"]) == (2, MANY)


def test_drops_of_a_processes_listeners_add_up_to_the_kernels_count(room: Room) -> None:
    with Tracer("listeners", "--by", "pid", "--netns", room.ns.name) as tracer:
        connect(room)
        for number in range(FEW):
            room.many.do("begin", name=f"b{number}", address=ADDRESS, port=PORT + 2, retries=1)
        dropped = room.ns.counters()["TcpExtListenOverflows"]
        records = tracer.stop()
    found = {r["pid"]: r for r in of_kind(records, "listener_summary")}
    assert dropped >= FEW
    assert found[room.two.pid]["syn_drops"]["accept_queue_full"] >= dropped
    assert found[room.one.pid]["syn_drops"] == {}
    (proof,) = (r for r in of_kind(records, "reconciliation") if r["counter"] == "ListenDrops")
    assert proof["unexplained"] == 0


@pytest.mark.parametrize("form", ["table", "json", "csv", "md"])
def test_listeners_by_keys_print_from_a_recording_what_their_run_printed(
    room: Room, tmp_path: object, form: str
) -> None:
    path, shown = f"{tmp_path}/a.rec", ["listeners", "--by", "comm,lport", "-f", form]
    with Tracer(*shown, "-w", path, "--netns", room.ns.name, json=False) as tracer:
        connect(room)
        tracer.stop()
    line = [*COMMAND, *shown, "-r", path]
    again = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert again == tracer.stdout
    assert "tt-one" in again


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        (
            "comm",
            {("tt-few",): 2 * FEW, ("tt-many",): MANY, ("tt-one",): FEW + MANY, ("tt-two",): 3},
        ),
        ("role", {("active",): 2 * FEW + MANY, ("passive",): 2 * FEW + MANY}),
        ("state", {("ESTAB",): 2 * (2 * FEW + MANY)}),
        ("peer/24,family", {("127.0.0.0/24", 4): 2 * (2 * FEW + MANY)}),
    ],
)
def test_open_connections_by_keys_are_as_many_as_the_callers_hold(
    room: Room, by: str, wanted: dict[tuple[object, ...], int]
) -> None:
    connect(room)
    words = [word.partition("/")[0] for word in by.split(",")]
    found = now(room.ns, "--by", by)
    assert {tuple(r[w] for w in words): r["connections"] for r in found} == wanted
    listed = room.ns.run("ss", "-Htn", "state", "established").splitlines()
    assert sum(r["connections"] for r in found) == len(listed)


def test_bytes_in_the_queues_of_a_process_are_those_of_ss(room: Room) -> None:
    connect(room)
    room.many.do("send_all")
    found = {r["comm"]: r for r in now(room.ns, "--by", "comm")}
    unread = sum(
        int(line.split()[0])
        for line in room.ns.run("ss", "-Htn", "state", "established").splitlines()
    )
    assert found["tt-one"]["recv_queue"] == found["tt-many"]["tx_bytes"] == unread == MANY
    assert found["tt-few"]["tx_bytes"] == 0


def test_connections_grow_older_from_one_group_to_the_next(room: Room) -> None:
    """Nothing is sent: all ages are known; of who sent there is a lower bound."""
    connect(room)
    all_of_them = 2 * (2 * FEW + MANY)

    def ages() -> dict[str, int]:
        return {r["age"]: r["connections"] for r in now(room.ns, "--by", "age")}

    assert sum(ages().values()) == all_of_them
    found = wait_until(lambda: (got := ages()) and "<1s" not in got and got, "all to be older")
    assert sum(found.get(age, 0) for age in OLD) == all_of_them
    room.many.do("send_all")
    found = ages()
    assert sum(found.get(f">={age}", 0) for age in ("0s", "1s", "10s", "1m")) == MANY
    assert sum(found.get(age, 0) for age in OLD) == 4 * FEW + MANY  # who only received


def test_connections_by_rate_are_those_that_carried_something_and_those_that_did_not(
    room: Room,
) -> None:
    connect(room)
    arguments = ("connections", "--open", "--by", "rate", "-i", "0.2", "--netns", room.ns.name)
    with Tracer(*arguments) as tracer:
        wait_until(tracer.so_far, "a first block")
        room.many.do("send_all")
        records = tracer.stop()
    found = {r["rate"]: r for r in of_kind(records, "connection_summary") if r["total"]}
    assert {rate: r["connections"] for rate, r in found.items()} == {
        "0": 4 * FEW,
        "<1k/s": 2 * MANY,
    }
    assert found["0"]["rx_per_s"] == found["0"]["new"] == 0
    assert min(found["<1k/s"][f"{side}_per_s"] for side in ("rx", "tx")) > 0


def test_groups_are_sorted_by_the_column_asked_for(room: Room) -> None:
    connect(room)
    line = [*COMMAND, "connections", "--open", "--netns", room.ns.name, "--by", "comm"]
    done = subprocess.run(
        [*line, "--sort", "-conns", "--columns", "comm,conns", "--limit", "2"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    head, first, _, rest, *_ = done.stdout.splitlines()[1:]
    assert head.split() == ["COMM", "CONNS"]
    assert first.split() == ["tt-two", "3"]
    assert rest == "... 2 more (--limit 0)"
