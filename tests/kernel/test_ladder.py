"""Each way to attach a subject that this kernel takes counts right; the others are refused.

How a session was attached is read from its recording, so that no test proves another rung than
the one it names.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import PORT, SILENT, add_silent_host
from tracer.kernel.features import why_not
from tracer.kernel.ladder import ATTACH
from tracer.probes import ACCEPT, HANDSHAKE, PROBES, SYN_DROP, Rung
from tracer.wire.recording import read

pytestmark = [pytest.mark.kernel, pytest.mark.guest]

HOST, UNROUTED = "10.99.0.1", "10.97.0.1"
FIRST = 20000
TAKEN, FAILED, NOT_SENT = 13, 5, 7  # accepts, accepts that fail, connects without a route
BACKLOG = 4
SYNS, ACKS = 11, 3  # thrown away, as the accept queue is full
LATE, FIRST_LATE = 2, 30000  # handshakes whose SYN-ACK is sent again
ANY = "auto"


def named(rung: Rung) -> str:
    """What --attach calls it."""
    return next((name for name, how in ATTACH.items() if how == rung.how), ANY)


def every(name: str) -> pytest.MarkDecorator:
    """A test for each rung of a subject that this kernel takes."""
    subject = next(subject for subject in PROBES if subject.name == name)
    return pytest.mark.parametrize(
        ("how", "rung"),
        [
            pytest.param(
                named(rung), rung.how, id=rung.how, marks=pytest.mark.guest(name, rung.how)
            )
            for rung in subject.rungs
            if not why_not(rung)
        ],
    )


@dataclass(frozen=True)
class Seen:
    """What one session told of the workload, and who did it."""

    records: list[Record]
    attached: dict[str, str]
    lost: int
    counters: dict[str, int]
    inode: int
    server: int
    worker: int
    client: int
    peers: list[int]

    def of(self, kind: str, **wanted: object) -> list[Record]:
        """Records of a kind that have these values."""
        return [
            r
            for r in self.records
            if r["kind"] == kind and all(r[name] == value for name, value in wanted.items())
        ]


def begin_late(client: Program) -> None:
    """Handshakes whose final ACK does not come before a second SYN-ACK."""
    where = {"source": SILENT, "address": HOST, "port": PORT}
    client.do("send_syns", **where, first=FIRST_LATE, count=LATE)


def end_late(client: Program, ns: Namespace) -> None:
    # theirs are the first to be sent again; those of the final ACKs thrown away follow
    again = LATE + ACKS
    wait_until(lambda: ns.counters()["TcpExtTCPSynRetrans"] >= again, "SYN-ACKs to be sent again")
    where = {"source": SILENT, "address": HOST, "port": PORT}
    client.do("send_acks", **where, first=FIRST_LATE, count=LATE)


def late(records: list[Record]) -> list[Record]:
    ports = range(FIRST_LATE, FIRST_LATE + LATE)
    return [r for r in records if r["kind"] == "handshake" and r["rport"] in ports]


def throw_away(client: Program) -> None:
    """Final ACKs, then SYNs, that find the accept queue full."""
    where = {"source": SILENT, "address": HOST, "port": PORT + 1}
    client.do("send_syns", **where, first=FIRST, count=ACKS)
    client.do("hold", address=HOST, port=PORT + 1, count=BACKLOG + 1)
    client.do("send_acks", **where, first=FIRST, count=ACKS)
    client.do("send_syns", **where, first=FIRST + ACKS, count=SYNS)


@cache
def seen(how: str, folder: Path) -> Seen:
    """A session with this --attach over an exact workload: one for all tests that ask."""
    with ExitStack() as stack:
        ns = stack.enter_context(namespace())
        add_silent_host(ns)
        server = stack.enter_context(Program("tt-server", ns.enter))
        client = stack.enter_context(Program("tt-client", ns.enter))
        client.do("watch", device="far")
        for name, port, backlog in (("l", PORT, 100), ("full", PORT + 1, BACKLOG)):
            server.do("bind", name=name, address=HOST, port=port)
            server.do("listen", name=name, backlog=backlog)
        kept = folder / f"{how}.rec"
        options = ["--netns", ns.name, "--kind", "all", "--attach", how, "-w", str(kept)]
        with Tracer("events", *options) as tracer:
            begin_late(client)
            worker = server.fork()
            peers = client.do("hold", address=HOST, port=PORT, count=TAKEN)["ports"]
            said = worker.do("accept_without_room", listener="l", count=FAILED)
            assert said["failed"] == ["EMFILE"] * FAILED
            assert server.do("accept_some", listener="l", count=TAKEN)["peers"] == peers
            for i in range(NOT_SENT):
                said = client.attempt("connect", name=f"u{i}", address=UNROUTED, port=PORT)
                assert said["errno"] == "ENETUNREACH"
            throw_away(client)
            end_late(client, ns)
            wait_until(lambda: len(late(tracer.so_far())) == LATE, "the last handshakes")
            records = tracer.stop()
        with kept.open("rb") as file:
            head = json.loads(bytes(next(read(file, str(kept))).data))
        return Seen(
            *(records, head["attached"], tracer.counts["lost"], ns.counters(), ns.inode),
            *(server.pid, worker.pid, client.pid, peers),
        )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ladder")


@every("state")
def test_every_transition_is_told_once(folder: Path, how: str, rung: str) -> None:
    told = seen(how, folder)
    assert (told.attached["state"], told.lost) == (rung, 0)
    children = told.of("state", old="LISTEN", new="SYN_RECV")
    finished = told.of("state", old="SYN_RECV", new="ESTABLISHED")
    assert len(children) == len(finished) == TAKEN + BACKLOG + 1 + LATE
    assert len(children) == told.counters["TcpPassiveOpens"]
    # each its own, with its peer, told in this order
    assert [r["cookie"] for r in children] == [r["cookie"] for r in finished]
    assert len({r["cookie"] for r in children}) == len(children)
    assert all(r["rport"] and r["raddr"] in (HOST, SILENT) for r in children)
    opened = told.of("state", old="CLOSE", new="SYN_SENT")
    assert len(opened) == TAKEN + BACKLOG + 1 == told.counters["TcpActiveOpens"]
    assert {r["pid"] for r in opened} == {told.client}


@every("owners")
def test_children_of_a_listener_older_than_the_tracer_are_its_owners(
    folder: Path, how: str, rung: str
) -> None:
    told = seen(how, folder)
    children = told.of("state", old="SYN_RECV", new="ESTABLISHED")
    assert {(r["pid"], r["owner_is"]) for r in children} == {(told.server, "listener")}


@every("task")
def test_a_process_born_while_tracing_is_named(folder: Path, how: str, rung: str) -> None:
    told = seen(how, folder)
    assert told.attached["task"] == rung
    named_so = {r["comm"] for r in told.of("accept", pid=told.worker)}
    assert named_so == {"tt-server"}


@every("accept")
def test_every_accept_and_every_failed_one_belongs_to_who_called_it(
    folder: Path, how: str, rung: str
) -> None:
    told = seen(how, folder)
    assert (told.attached["accept"], told.lost) == (rung, 0)
    taken = told.of("accept", errno=None)
    assert sorted(r["rport"] for r in taken) == sorted(told.peers)
    assert {(r["pid"], r["listener_pid"]) for r in taken} == {(told.server, told.server)}
    assert all(r["wait_us"] is not None for r in taken)
    failed = [(r["pid"], r["errno"]) for r in told.of("accept") if r["errno"]]
    assert failed == [(told.worker, "EMFILE")] * FAILED


@every("handshake")
def test_every_connect_that_sends_no_syn_is_told(folder: Path, how: str, rung: str) -> None:
    told = seen(how, folder)
    assert (told.attached["handshake"], told.lost) == (rung, 0)
    ends = Counter(
        (r["outcome"], r["errno"], r["raddr"], r["pid"])
        for r in told.of("handshake", role="active")
    )
    assert ends == {
        ("unreachable", "ENETUNREACH", UNROUTED, told.client): NOT_SENT,
        ("ok", None, HOST, told.client): TAKEN + BACKLOG + 1,
    }


@every("synack")
def test_a_handshake_whose_syn_ack_was_sent_again_is_timed_from_the_first(
    folder: Path, how: str, rung: str
) -> None:
    told = seen(how, folder)
    assert told.attached["synack"] == rung
    found = late(told.records)
    assert len(found) == LATE
    for record in found:
        assert (record["role"], record["outcome"], record["latency_from"]) == (
            *("passive", "ok"),
            "synack",
        )
        # the first timeout is a second, and the kernel may round it down to its tick
        assert record["syn_retransmits"] >= 1
        assert record["latency_us"] > 900_000


@every("syn_drop")
def test_every_dropped_syn_and_final_ack_is_told_of_its_listener(
    folder: Path, how: str, rung: str
) -> None:
    told = seen(how, folder)
    assert (told.attached["syn_drop"], told.lost) == (rung, 0)
    drops: Counter[tuple[str, str]] = Counter()
    for r in told.of("syn_drop"):
        drops[r["cause"], r["stage"]] += r["count"]
        assert (r["listener_pid"], r["lport"], r["netns"]) == (told.server, PORT + 1, told.inode)
    assert drops == {("accept_queue_full", "syn"): SYNS, ("accept_queue_full", "ack"): ACKS}
    dropped = [told.counters[f"TcpExtListen{name}"] for name in ("Drops", "Overflows")]
    assert dropped == [SYNS + ACKS] * 2


# --- what this kernel does not take ---------------------------------------------------


def test_a_rung_that_this_kernel_refuses_ends_with_69_and_the_cause() -> None:
    for how in ATTACH:
        refused = [
            (subject.name, why)
            for subject in (ACCEPT, HANDSHAKE, SYN_DROP)
            for rung in subject.rungs
            if named(rung) == how and (why := why_not(rung))
        ]
        if not refused:
            continue  # then it is among the rungs above
        name, why = refused[0]
        command = [*COMMAND, "events", "--kind", "all", "--attach", how, "-d", "10ms"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        cause, hint = done.stderr.splitlines()
        assert done.returncode == 69
        assert cause == f"tcptrace: --attach {how}: {name} cannot be attached so: {why}"
        assert "tcptrace doctor" in hint


def test_doctor_tells_what_a_session_stands_on(folder: Path) -> None:
    done = subprocess.run([*COMMAND, "doctor", "-j"], capture_output=True, text=True, cwd=ROOT)
    documents = [json.loads(line) for line in done.stdout.splitlines()]
    probes = {d["subject"]: d for d in documents if d["kind"] == "probe"}
    for name, how in seen(ANY, folder).attached.items():
        assert probes[name]["attach"].partition(":")[0] == how
        # another way that costs no more is as good
        worse = probes[name]["why"] and probes[name]["costs"]
        assert probes[name]["status"] == ("degraded" if worse else "works")
