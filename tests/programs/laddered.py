"""A workload of exact counts for all subjects of the ladder, and what one session told of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.harness import Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import PORT, SILENT, add_silent_host

HOST, UNROUTED = "10.99.0.1", "10.97.0.1"
FIRST = 20000
TAKEN, FAILED, NOT_SENT = 13, 5, 7  # accepts, accepts that fail, connects without a route
BACKLOG = 4
SYNS, ACKS = 11, 3  # thrown away, as the accept queue is full
LATE, FIRST_LATE = 2, 30000  # handshakes whose SYN-ACK is sent again


@dataclass(frozen=True)
class Seen:
    """What one session told of the workload, and who did it."""

    records: list[Record]
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


def has_late_ones(tracer: Tracer) -> bool:
    """Whether those are told of, which end last."""
    return len(late(tracer.so_far())) == LATE


def throw_away(client: Program) -> None:
    """Final ACKs, then SYNs, that find the accept queue full."""
    where = {"source": SILENT, "address": HOST, "port": PORT + 1}
    client.do("send_syns", **where, first=FIRST, count=ACKS)
    client.do("hold", address=HOST, port=PORT + 1, count=BACKLOG + 1)
    client.do("send_acks", **where, first=FIRST, count=ACKS)
    client.do("send_syns", **where, first=FIRST + ACKS, count=SYNS)


def see(tracing: Callable[[Namespace], Tracer], ends: Callable[[Tracer], bool]) -> Seen:
    """Trace the workload, until this session `ends`."""
    with ExitStack() as stack:
        ns = stack.enter_context(namespace())
        add_silent_host(ns)
        server = stack.enter_context(Program("tt-server", ns.enter))
        client = stack.enter_context(Program("tt-client", ns.enter))
        client.do("watch", device="far")
        for name, port, backlog in (("l", PORT, 100), ("full", PORT + 1, BACKLOG)):
            server.do("bind", name=name, address=HOST, port=port)
            server.do("listen", name=name, backlog=backlog)
        with tracing(ns) as tracer:
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
            wait_until(lambda: ends(tracer), "the last of it")
            records = tracer.stop()
        return Seen(
            *(records, tracer.counts["lost"], ns.counters(), ns.inode),
            *(server.pid, worker.pid, client.pid, peers),
        )


def check_every_transition(told: Seen) -> None:
    """Each transition once, with its socket and its peer, and as many as the kernel counts."""
    assert told.lost == 0
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


def check_older_listeners(told: Seen) -> None:
    """Children of a listener older than the tracer are its owner's."""
    children = told.of("state", old="SYN_RECV", new="ESTABLISHED")
    assert {(r["pid"], r["owner_is"]) for r in children} == {(told.server, "listener")}


def check_names(told: Seen) -> None:
    """A process that began since is named."""
    named_so = {r["comm"] for r in told.of("accept", pid=told.worker)}
    assert named_so == {"tt-server"}


def check_every_accept(told: Seen) -> None:
    """Each accept and each that failed is of who called it."""
    assert told.lost == 0
    taken = told.of("accept", errno=None)
    assert sorted(r["rport"] for r in taken) == sorted(told.peers)
    assert {(r["pid"], r["listener_pid"]) for r in taken} == {(told.server, told.server)}
    assert all(r["wait_us"] is not None for r in taken)
    failed = [(r["pid"], r["errno"]) for r in told.of("accept") if r["errno"]]
    assert failed == [(told.worker, "EMFILE")] * FAILED


def check_every_attempt(told: Seen) -> None:
    """Attempts that sent no SYN are told beside those that did."""
    assert told.lost == 0
    ends = Counter(
        (r["outcome"], r["errno"], r["raddr"], r["pid"])
        for r in told.of("handshake", role="active")
    )
    assert ends == {
        ("unreachable", "ENETUNREACH", UNROUTED, told.client): NOT_SENT,
        ("ok", None, HOST, told.client): TAKEN + BACKLOG + 1,
    }


def check_late_handshakes(told: Seen) -> None:
    """They are timed from the first SYN-ACK."""
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


def check_every_dropped(told: Seen) -> None:
    """Each SYN and final ACK thrown away is told of its listener."""
    assert told.lost == 0
    drops: Counter[tuple[str, str]] = Counter()
    for r in told.of("syn_drop"):
        drops[r["cause"], r["stage"]] += r["count"]
        assert (r["listener_pid"], r["lport"], r["netns"]) == (told.server, PORT + 1, told.inode)
    assert drops == {("accept_queue_full", "syn"): SYNS, ("accept_queue_full", "ack"): ACKS}
    dropped = [told.counters[f"TcpExtListen{name}"] for name in ("Drops", "Overflows")]
    assert dropped == [SYNS + ACKS] * 2
