"""Segments sent again: each of a kind made for real, and as many as the kernel counts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.losing import DATA, Losing
from tests.programs.places import PORT, server_in

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

BOTH = pytest.mark.parametrize("address", ["127.0.0.1", "::1"])


def in_guests(*what: str) -> pytest.MarkDecorator:
    """Of both, one is enough for other kernels."""
    four = pytest.param("127.0.0.1", marks=pytest.mark.guest(*what))
    return pytest.mark.parametrize("address", [four, "::1"])


SENT_AGAIN, SYN_ACK_AGAIN = in_guests("retransmit", "tp_btf"), in_guests("synack", "tp_btf")
TO_SERVER, TO_CLIENT = f"tcp dport {PORT}", f"tcp sport {PORT}"
SYN = "tcp flags & (syn | ack) == syn"
SYN_ACK = "tcp flags & (syn | ack) == syn | ack"
BARE_ACK = "tcp flags == ack meta length < 90"
# counter of the kernel -> what of the records it tells of
TOLD: dict[str, Callable[[Record], int]] = {
    "TcpRetransSegs": lambda r: r["segments"],
    "TcpExtTCPSynRetrans": lambda r: r["type"] in ("syn", "synack"),
    "TcpExtTCPLostRetransmit": lambda r: r["segments"] if r["lost_again"] else 0,
    "TcpExtTCPLossProbes": lambda r: r["type"] == "tlp",
    "TcpExtTCPFastRetrans": lambda r: r["segments"] if r["type"] == "fast" else 0,
    "TcpExtTCPSlowStartRetrans": lambda r: r["segments"] if r["type"] == "slow_start" else 0,
}


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace, *more: str) -> Tracer:
    return Tracer("events", "--kind", "retransmit", "--netns", ns.name, *more)


def count(records: list[Record]) -> dict[str, int]:
    return {name: sum(int(part(r)) for r in records) for name, part in TOLD.items()}


def counted(ns: Namespace) -> dict[str, int]:
    counters = ns.counters()
    return {name: counters[name] for name in TOLD}


def types(records: list[Record]) -> Counter[str]:
    return Counter(r["type"] for r in records)


def open_one(client: Program, server: Program, address: str) -> int:
    port: int = client.do("connect", name="c", address=address, port=PORT)["port"]
    server.do("accept", name="s", listener="l")
    return port


def pass_on(client: Program, server: Program, size: int) -> None:
    """Send in one piece and wait until it has come."""
    client.do("send", name="c", count=size)
    assert server.do("receive", name="s", count=size)["bytes"] == size


# --- each for real -----------------------------------------------------------------


@SENT_AGAIN
def test_a_timeout_is_an_rto_each_time_it_runs_out(
    ns: Namespace, client: Program, address: str
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")  # no probes
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        port = open_one(client, server, address)
        pass_on(client, server, 5003)
        losing = Losing(ns)
        losing.lose(f"{TO_SERVER} {DATA}", count=3)
        pass_on(client, server, 1009)
        records = tracer.stop()
    assert losing.lost() == 3
    assert types(records) == {"rto": 3}
    assert count(records) == counted(ns)
    assert [r["nth"] for r in records] == [1, 2, 3]
    assert [r["lost_again"] for r in records] == [False, True, True]
    assert {(r["seq"], r["length"], r["segments"]) for r in records} == {(5003, 1009, 1)}
    assert {(r["pid"], r["lport"], r["state"]) for r in records} == {
        (client.pid, port, "ESTABLISHED")
    }
    first, second, third = (r["rto_us"] for r in records)
    assert (second, third) == (2 * first, 4 * first)
    waited = [(b["mono_ns"] - a["mono_ns"]) // 1000 for a, b in pairwise(records)]
    for rto, took in zip((second, third), waited, strict=True):
        assert took > rto * 0.95
    assert tracer.counts["lost"] == 0


@BOTH
def test_a_loss_probe_is_one_and_the_timeouts_behind_it_are_not(
    ns: Namespace, client: Program, address: str
) -> None:
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        open_one(client, server, address)
        losing = Losing(ns)
        losing.lose(f"{TO_SERVER} {DATA}", count=3)
        pass_on(client, server, 1009)
        records = tracer.stop()
    assert losing.lost() == 3
    assert [r["type"] for r in records] == ["tlp", "rto", "rto"]
    assert [r["nth"] for r in records] == [1, 2, 3]
    # the kernel takes no probe for lost
    assert [r["lost_again"] for r in records] == [False, False, True]
    assert {(r["seq"], r["length"], r["pid"]) for r in records} == {(0, 1009, client.pid)}
    assert count(records) == counted(ns)


@SENT_AGAIN
def test_what_acks_tell_to_be_lost_is_fast(ns: Namespace, client: Program, address: str) -> None:
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        open_one(client, server, address)
        losing = Losing(ns)
        losing.lose(f"{TO_SERVER} {DATA}", first=2, count=1)
        client.do("send_each", name="c", count=101, times=13)
        assert server.do("receive", name="s", count=1313)["bytes"] == 1313
        records = tracer.stop()
    assert losing.lost() == 1
    (record,) = records
    assert (record["type"], record["seq"], record["length"]) == ("fast", 202, 101)
    assert (record["nth"], record["lost_again"], record["segments"]) == (1, False, 1)
    assert record["srtt_us"] > 0
    assert count(records) == counted(ns)


@SENT_AGAIN
def test_syns_are_told_as_their_timer_runs_out(
    ns: Namespace, client: Program, address: str
) -> None:
    losing = Losing(ns)
    losing.lose(f"{TO_SERVER} {SYN}", count=2)
    with server_in(ns, address=address), trace(ns) as tracer:
        port = client.do("connect", name="c", address=address, port=PORT)["port"]
        records = tracer.stop()
    assert [(r["type"], r["nth"], r["lost_again"]) for r in records] == [
        ("syn", 1, False),
        ("syn", 2, True),
    ]
    for r in records:
        assert (r["pid"], r["lport"], r["rport"]) == (client.pid, port, PORT)
        assert (r["state"], r["seq"], r["length"], r["acked"]) == ("SYN_SENT", None, 0, None)
    assert records[0]["rto_us"] == 1_000_000
    assert count(records) == counted(ns)


@SYN_ACK_AGAIN
def test_a_syn_ack_is_its_listeners_owners(ns: Namespace, client: Program, address: str) -> None:
    losing = Losing(ns)
    losing.lose(f"{TO_CLIENT} {SYN_ACK}", count=1)
    losing.lose(f"{TO_SERVER} {SYN}", first=1, count=100)
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        port = client.do("connect", name="c", address=address, port=PORT)["port"]
        records = tracer.stop()
        (told,) = [r for r in records if r["type"] == "synack"]
        assert (told["pid"], told["owner_is"]) == (server.pid, "listener")
    assert (told["laddr"], told["lport"], told["rport"]) == (address, PORT, port)
    assert (told["state"], told["nth"], told["acked"]) == ("NEW_SYN_RECV", 1, False)
    assert told["listener_cookie"]
    assert (told["rto_us"], told["srtt_us"], told["cwnd"]) == (None, None, None)
    assert count(records) == counted(ns)


@BOTH
def test_a_syn_ack_is_sent_again_though_its_ack_had_come_while_the_accept_queue_is_full(
    ns: Namespace, client: Program, address: str
) -> None:
    losing = Losing(ns)
    losing.lose(f"{TO_SERVER} {BARE_ACK}", count=1)
    with Program("tt-full", ns.enter) as server, trace(ns) as tracer:
        server.do("bind", name="l", address=address, port=PORT)
        server.do("listen", name="l", backlog=0)
        late = client.do("connect", name="late", address=address, port=PORT)["port"]
        client.do("connect", name="first", address=address, port=PORT)
        client.do("send", name="late")  # its ACK comes now, and finds no room
        wait_until(lambda: counted(ns)["TcpExtTCPSynRetrans"] == 1, "the SYN-ACK to be sent again")
        records = tracer.stop()
        (told,) = [r for r in records if r["type"] == "synack"]
        assert (told["pid"], told["rport"], told["acked"]) == (server.pid, late, True)
    assert ns.counters()["TcpExtListenOverflows"] >= 1
    assert count(records) == counted(ns)


# --- all of them -------------------------------------------------------------------


def proof(records: list[Record], ns: Namespace) -> dict[str, tuple[int, int]]:
    """What the kernel counted and what was explained, by counter."""
    return {
        r["counter"]: (r["kernel"], r["explained"])
        for r in records
        if r["kind"] == "reconciliation" and r["netns"] == ns.inode
    }


def test_more_loss_than_one_recovery_mends_is_told_as_the_kernel_sees_it(
    ns: Namespace, client: Program
) -> None:
    """Two of five packets are lost, and what is sent again as well: again and again."""
    size = 100_003
    ns.run("ip", "link", "set", "lo", "mtu", "1500", "gso_max_segs", "1")
    with server_in(ns) as server, trace(ns) as tracer:
        open_one(client, server, "127.0.0.1")
        losing = Losing(ns)
        losing.lose(f"{TO_SERVER} {DATA}", first=3, count=2, every=5)
        client.tell("send", name="c", count=size)
        assert server.do("receive", name="s", count=size)["bytes"] == size
        client.answer()
        records = tracer.stop()
    told, kernel = count(records), counted(ns)
    probes = "TcpExtTCPLossProbes"
    assert told.pop(probes) <= kernel.pop(probes)
    assert told == kernel
    assert told["TcpExtTCPLostRetransmit"] > 0
    assert max(r["nth"] for r in records) > 2


@BOTH
def test_a_bulk_transfer_that_loses_segments_is_told_to_the_segment(
    ns: Namespace, client: Program, address: str
) -> None:
    """Packets of the loopback are as large as a card would cut up: several segments in one."""
    ns.run("ip", "link", "set", "lo", "mtu", "1500")
    size = 4_000_037
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        port = open_one(client, server, address)
        losing = Losing(ns)
        losing.lose(f"{TO_SERVER} {DATA}", first=7, count=2, every=53)
        client.tell("send", name="c", count=size)
        assert server.do("receive", name="s", count=size)["bytes"] == size
        client.answer()
        records = tracer.stop()
    assert losing.lost() > 0
    told, kernel = count(records), counted(ns)
    assert told["TcpRetransSegs"] > len(records) > 0
    for name in ("TcpRetransSegs", "TcpExtTCPSynRetrans", "TcpExtTCPFastRetrans"):
        assert told[name] == kernel[name]
    assert told["TcpExtTCPSlowStartRetrans"] == kernel["TcpExtTCPSlowStartRetrans"]
    # one that was only late is acknowledged before it is sent once more
    assert told["TcpExtTCPLostRetransmit"] <= kernel["TcpExtTCPLostRetransmit"]
    # one that sends what is new is no retransmission
    assert told["TcpExtTCPLossProbes"] <= kernel["TcpExtTCPLossProbes"]
    assert {(r["pid"], r["lport"]) for r in records} == {(client.pid, port)}
    assert all(r["seq"] + r["length"] <= size for r in records)
    assert tracer.counts["lost"] == 0


@BOTH
def test_the_table_is_the_kernels_account_live_and_replayed(
    ns: Namespace, client: Program, address: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    arguments = ("retransmits", "--netns", ns.name, "--by", "type,comm,state", "-w", str(kept))
    losing = Losing(ns)
    losing.lose(f"{TO_SERVER} {SYN}", count=2)
    losing.lose(f"{TO_SERVER} {DATA}", count=3)
    with server_in(ns, address=address) as server, Tracer(*arguments) as tracer:
        open_one(client, server, address)
        pass_on(client, server, 1009)
        before = ns.counters()
        records = tracer.stop()
        kernel = ns.counters()
    assert losing.lost() == 5
    rows = {
        (r["type"], r["comm"], r["state"]): (r["count"], r["bytes"], r["lost_again"])
        for r in records
        if r["kind"] == "retransmit_summary"
    }
    assert rows == {
        ("syn", "tt-client", "SYN_SENT"): (2, 0, 1),
        ("tlp", "tt-client", "ESTABLISHED"): (1, 1009, 0),
        ("rto", "tt-client", "ESTABLISHED"): (2, 2018, 1),
    }
    assert proof(records, ns) == {
        "RetransSegs": (5, 5),
        "TCPSynRetrans": (2, 2),
        "TCPLostRetransmit": (2, 2),
        "TCPLossProbes": (1, 1),
    }
    assert kernel["TcpRetransSegs"] == 5
    assert kernel["TcpExtTCPLostRetransmit"] == 2
    assert replay(kept, *arguments[:5], "-j") == tracer.stdout
    table = replay(kept, "retransmits")
    assert "RetransSegs 5 = 5, TCPSynRetrans 2 = 2, TCPLostRetransmit 2 = 2" in table
    (sent,) = re.findall(r"5 segments sent again beside (\d+) sent", table)
    assert before["TcpOutSegs"] <= int(sent) <= kernel["TcpOutSegs"]


def replay(kept: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*COMMAND, *arguments, "-r", str(kept)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout


def test_a_share_is_of_what_the_namespace_sent(ns: Namespace, client: Program) -> None:
    losing = Losing(ns)
    losing.lose(f"{TO_SERVER} {DATA}", count=1)
    with server_in(ns) as server, Tracer("retransmits", "--by", "netns") as tracer:
        open_one(client, server, "127.0.0.1")
        pass_on(client, server, 1009)
        before = ns.counters()
        records = tracer.stop()
        kernel = ns.counters()
    (row,) = [r for r in records if r.get("netns") == ns.inode and "share" in r]
    assert row["count"] == 1
    assert 1 / kernel["TcpOutSegs"] <= row["share"] <= 1 / before["TcpOutSegs"]


def test_what_this_machine_refuses_to_send_is_counted_and_not_told(
    ns: Namespace, client: Program
) -> None:
    """A rule where packets are sent: the kernel counts that as sent again, and as failed."""
    with server_in(ns) as server, Tracer("retransmits", "--netns", ns.name) as tracer:
        open_one(client, server, "127.0.0.1")
        arriving, leaving = Losing(ns), Losing(ns, "output")
        arriving.lose(f"{TO_SERVER} {DATA}")
        client.do("send", name="c", count=1009)
        leaving.lose(f"{TO_SERVER} {DATA}")
        wait_until(lambda: ns.counters()["TcpExtTCPRetransFail"] >= 2, "it to fail twice")
        arriving.stop()
        leaving.stop()
        assert server.do("receive", name="s", count=1009)["bytes"] == 1009
        records = tracer.stop()
    kernel = ns.counters()
    failed = kernel["TcpExtTCPRetransFail"]
    told = sum(r["count"] for r in records if r["kind"] == "retransmit_summary")
    assert told > 0
    assert kernel["TcpRetransSegs"] == failed + told
    assert proof(records, ns)["RetransSegs"] == (failed + told, failed + told)


def test_what_the_buffer_has_no_room_for_is_counted_as_lost(ns: Namespace, client: Program) -> None:
    attempts = 499
    losing = Losing(ns)
    losing.lose(f"{TO_SERVER} {SYN}")
    with trace(ns, "--buffer-pages", "1") as tracer:
        os.kill(tracer.process.pid, signal.SIGSTOP)
        try:
            for i in range(attempts):
                client.do("begin", name=f"held:{i}", address="127.0.0.1", port=PORT)
            wait_until(
                lambda: counted(ns)["TcpExtTCPSynRetrans"] >= attempts, "all SYNs to be sent again"
            )
            client.do("let_go")
        finally:
            os.kill(tracer.process.pid, signal.SIGCONT)
        records = tracer.stop()
    told = [r for r in records if r["kind"] == "retransmit"]
    lost = sum(r["count"] for r in records if r["kind"] == "lost" and r["of"] == "retransmit")
    assert lost > 0
    assert len(told) + lost == counted(ns)["TcpExtTCPSynRetrans"]
    assert tracer.counts["matched"] == len(told) + lost


@pytest.mark.parametrize("filtered", ["--pid", "--comm", "--rport", "--state"])
def test_the_kernel_sends_only_what_is_asked_for(
    ns: Namespace, client: Program, filtered: str
) -> None:
    """The server's FIN, which is probed for as well, is not."""
    losing = Losing(ns)
    losing.lose(DATA, count=2)
    with server_in(ns) as server:
        open_one(client, server, "127.0.0.1")
        given = {
            "--pid": str(client.pid),
            "--comm": "tt-client",
            "--rport": str(PORT),
            "--state": "close-wait",
        }[filtered]
        with trace(ns, filtered, given) as tracer:
            server.do("half_close", name="s")  # the client is then in CLOSE_WAIT
            client.do("receive", name="c")
            client.do("send", name="c", count=1009)
            assert server.do("receive", name="s", count=1009)["bytes"] == 1009
            records = tracer.stop()
        assert {r["pid"] for r in records} == {client.pid}
        assert {r["state"] for r in records} == {"CLOSE_WAIT"}
        assert [r["type"] for r in records] == ["tlp", "rto"]
        assert tracer.counts["matched"] == 2
