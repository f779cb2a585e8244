"""Packets that the kernel threw away, each cause made on purpose, against what was sent.

Where the kernel has a counter of the same event, that is the witness.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.crafted import ACK, FIN, SYN, Host, Talk
from tests.programs.driver import Program
from tests.programs.places import (
    NEAR,
    PORT,
    SILENT,
    add_silent_host,
    build,
    inside,
    server_in,
)
from tests.schemas import checked
from tracer.kernel.packets import reason_names, tells_sockets

pytestmark = pytest.mark.kernel

AWAY = "10.97.0.5"  # routed, and not here
SHUT = 7999
IP_MINTTL = 21
RCV_WND = 232  # of tcpi_rcv_wnd in struct tcp_info
SO_ATTACH_FILTER = 26


def events(ns: Namespace) -> Tracer:
    return Tracer("events", "--kind", "drop", "--netns", ns.name)


def drops(records: list[Record]) -> list[Record]:
    return [record for record in records if record["kind"] == "drop"]


def stop_after(tracer: Tracer, count: int, *reasons: str) -> list[Record]:
    """Wait for so many losses, or those of these reasons; more of them would show as well."""

    def wanted(records: list[Record]) -> list[Record]:
        return [
            r for r in drops(records) if (r["reason"] in reasons if reasons else not r["expected"])
        ]

    wait_until(lambda: len(wanted(tracer.so_far())) >= count, f"{count} drops")
    records = tracer.stop()
    assert tracer.counts["lost"] == 0, tracer.stderr
    return wanted(records)


def told(records: list[Record]) -> Counter[tuple[str, str, str]]:
    """How many packets, by reason, layer and direction."""
    return Counter((r["reason"], r["layer"], r["direction"]) for r in records)


def listening(ns: Namespace, address: str = NEAR) -> socket.socket:
    """A listening socket of this process."""

    def made() -> socket.socket:
        found = socket.socket()
        found.bind((address, PORT))
        found.listen()
        return found

    found: socket.socket = inside(ns, made)
    return found


def rules(ns: Namespace, hook: str, rule: str) -> Callable[[], int]:
    """Have packets that match dropped there; returns what reads how many were."""
    ns.run("nft", "add", "table", "ip", "t")
    ns.run("nft", f"add chain ip t c {{ type filter hook {hook} priority 0; }}")
    ns.run("nft", f"add rule ip t c {rule} counter drop")

    def counted() -> int:
        parts = json.loads(ns.run("nft", "-j", "list", "chain", "ip", "t", "c"))["nftables"]
        (found,) = [
            one["counter"]["packets"]
            for part in parts
            if "rule" in part
            for one in part["rule"]["expr"]
            if "counter" in one
        ]
        return int(found)

    return counted


# --- each cause ---------------------------------------------------------------------


@pytest.mark.guest("drop", "raw_tp")
def test_a_packet_to_a_port_that_nobody_listens_on(ns: Namespace) -> None:
    count = 13
    with Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, SHUT)
        found = stop_after(tracer, count)
    assert told(found) == {("NO_SOCKET", "tcp", "rx"): count}
    assert ns.counters()["TcpOutRsts"] == count
    for i, record in enumerate(found):
        ends = record["laddr"], record["lport"], record["raddr"], record["rport"]
        assert ends == (NEAR, SHUT, SILENT, 20000 + i)
        assert (record["netns"], record["family"], record["cookie"]) == (ns.inode, 4, None)
        assert (record["pid"], record["owner_is"]) == (None, "unknown")
        assert (record["owner_from"], record["expected"]) == ("none", False)
        assert (record["dev"], record["length"], record["tcp_flags"]) == ("near", 40, "SYN")
        assert record["location"].startswith("tcp_v4_rcv+0x")


@pytest.mark.guest("drop", "raw_tp")
def test_a_packet_that_the_firewall_drops_as_it_comes_is_the_listeners_on_its_port(
    ns: Namespace, server: Program
) -> None:
    count = 11
    counted = rules(ns, "input", f"tcp dport {PORT}")
    server.do("listen", name="l")
    with Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i)
        found = stop_after(tracer, count)
    assert told(found) == {("NETFILTER_DROP", "netfilter", "rx"): count}
    assert counted() == count
    for record in found:
        assert (record["pid"], record["comm"]) == (server.pid, "tt-server")
        assert (record["owner_is"], record["owner_from"]) == ("listener", "listener_port")


def test_a_packet_that_the_firewall_drops_on_its_way_out_is_its_senders(ns: Namespace) -> None:
    count = 7
    counted = rules(ns, "output", f"tcp dport {SHUT}")
    with Program("tt-caller", ns.enter) as caller, events(ns) as tracer:
        caller.do("give_up", address=NEAR, port=SHUT, count=count)
        found = stop_after(tracer, count)
        sent = counted()
    assert told(found) == {("NETFILTER_DROP", "netfilter", "tx"): len(found)}
    assert len(found) == sent
    for record in found:
        assert (record["raddr"], record["rport"], record["tcp_flags"]) == (NEAR, SHUT, "SYN")
        assert (record["pid"], record["comm"]) == (caller.pid, "tt-caller")
        assert (record["owner_is"], record["owner_from"]) == ("process", "socket")


def test_a_packet_that_is_passed_on_and_dropped_is_no_listeners_of_the_same_port(
    ns: Namespace,
) -> None:
    count = 17
    ns.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    ns.run("ip", "route", "add", f"{AWAY}/32", "via", SILENT)
    counted = rules(ns, "forward", f"tcp dport {PORT}")
    with listening(ns, "0.0.0.0"), Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, target=AWAY)
        found = stop_after(tracer, count)
    assert told(found) == {("NETFILTER_DROP", "netfilter", "rx"): count}
    assert counted() == count
    assert {(r["pid"], r["owner_from"]) for r in found} == {(None, "none")}


@pytest.mark.guest("drop", "raw_tp")
def test_a_packet_with_a_wrong_checksum(ns: Namespace) -> None:
    count = 7
    with listening(ns), Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, good=False)
        found = stop_after(tracer, count)
    assert told(found) == {("TCP_CSUM", "tcp", "rx"): count}
    assert ns.counters()["TcpInCsumErrors"] == count


def test_a_packet_that_the_sockets_own_filter_refuses_is_its_owners(ns: Namespace) -> None:
    count = 11
    with listening(ns) as listener, Host(ns) as host:
        refuse_all(listener)
        with events(ns) as tracer:
            for i in range(count):
                host.send(SYN, 20000 + i)
            found = stop_after(tracer, count)
    assert told(found) == {("SOCKET_FILTER", "socket", "rx"): count}
    for record in found:
        assert (record["pid"], record["owner_from"]) == (os.getpid(), "socket")
        assert record["owner_is"] == "listener"


def refuse_all(made: socket.socket) -> None:
    """Attach a filter of one instruction: return 0, that is, keep no byte."""
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)


def test_a_packet_from_further_away_than_the_socket_allows(ns: Namespace) -> None:
    count = 13
    with listening(ns) as listener, Host(ns) as host, events(ns) as tracer:
        listener.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 200)
        for i in range(count):
            host.send(SYN, 20000 + i, ttl=10)
        found = stop_after(tracer, count)
    assert told(found) == {("TCP_MINTTL", "tcp", "rx"): count}
    assert ns.counters()["TcpExtTCPMinTTLDrop"] == count


def test_a_packet_whose_source_no_single_machine_has(ns: Namespace) -> None:
    count = 5
    with listening(ns), Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, source="224.0.0.9")
        found = stop_after(tracer, count)
    assert told(found) == {("IP_INVALID_SOURCE", "ip", "rx"): count}
    assert {r["raddr"] for r in found} == {"224.0.0.9"}


@dataclass(frozen=True)
class Martian:
    """A source that no packet from there may have, and the counter that tells of it."""

    source: str
    reason: str
    counter: str | None = None
    settings: tuple[str, ...] = ()


STRICT = ("net.ipv4.conf.all.rp_filter=1", "net.ipv4.conf.near.rp_filter=1")


@pytest.mark.parametrize(
    "martian",
    [
        Martian("127.0.0.5", "IP_LOCALNET"),
        Martian(NEAR, "IP_LOCAL_SOURCE"),
        Martian("198.51.100.7", "IP_RPFILTER", "TcpExtIPReversePathFilter", STRICT),
    ],
    ids=lambda martian: martian.reason,
)
def test_a_packet_whose_source_cannot_be_behind_its_device(ns: Namespace, martian: Martian) -> None:
    count = 11
    for setting in martian.settings:
        ns.run("sysctl", "-qw", setting)
    with listening(ns, "0.0.0.0"), Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, source=martian.source)
        found = stop_after(tracer, count)
    assert told(found) == {(martian.reason, "ip", "rx"): count}
    assert {(r["raddr"], r["dev"]) for r in found} == {(martian.source, "near")}
    if martian.counter:
        assert ns.counters()[martian.counter] == count


def test_a_packet_whose_ttl_runs_out_as_it_is_passed_on(ns: Namespace) -> None:
    count = 7
    ns.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    ns.run("ip", "route", "add", f"{AWAY}/32", "via", SILENT)
    ns.run("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
    with Host(ns) as host, Tracer("drops", "--packets", "--netns", ns.name) as table:
        with events(ns) as tracer:
            for i in range(count):
                host.send(SYN, 20000 + i, target=AWAY, ttl=1)
            found = stop_after(tracer, count)
        documents = table.stop()
    assert told(found) == {("IP_INHDR", "ip", "rx"): count}
    assert {(r["pid"], r["laddr"], r["owner_from"]) for r in found} == {(None, AWAY, "none")}
    assert ns.counters()["IpInHdrErrors"] == count
    (row,) = [one for one in documents if one["kind"] == "drop_summary"]
    assert (row["count"], row["location"].partition("+")[0]) == (count, "ip_forward")
    assert row["meaning"].startswith("its TTL ran out")


def accepted(listener: socket.socket, host: Host, stamp: int = 0) -> tuple[socket.socket, Talk]:
    """A connection of the host's to this process."""
    talk = host.open(stamp=stamp)
    made, _ = listener.accept()
    return made, talk


@pytest.mark.guest("drop", "raw_tp")
def test_segments_beyond_the_window_are_losses_of_who_has_the_connection(ns: Namespace) -> None:
    count, data = 7, b"x" * 10
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host)
        with made, events(ns) as tracer:
            for _ in range(count):
                host.say(talk, data, ahead=100_000_000)
            found = stop_after(tracer, count)
    assert told(found) == {("TCP_INVALID_SEQUENCE", "tcp", "rx"): count}
    assert {r["expected"] for r in found} == {False}
    for record in found:
        assert_of_connection(record)


def test_segments_sent_again_are_expected(ns: Namespace) -> None:
    count, data = 5, b"x" * 10
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host)
        with made, events(ns) as tracer:
            host.say(talk, data)
            assert made.recv(100) == data
            for _ in range(count):
                host.say(talk, data)
            wait_until(lambda: len(drops(tracer.so_far())) >= count, "all drops")
            found = drops(tracer.stop())
    assert len(found) == count
    assert {r["expected"] for r in found} == {True}
    assert {r["reason"] for r in found} <= {"TCP_OLD_DATA", "TCP_OLD_SEQUENCE"}
    for record in found:
        assert_of_connection(record)


def assert_of_connection(record: Record) -> None:
    assert (record["pid"], record["owner_is"]) == (os.getpid(), "process")
    assert (record["owner_from"], record["length"]) == ("socket", 50)
    assert record["cookie"] is not None
    assert record["dev"] == "near"


def test_segments_with_an_older_timestamp(ns: Namespace) -> None:
    count = 7
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host, stamp=1_000_000)
        with made, events(ns) as tracer:
            for _ in range(count):
                host.say(talk, b"x", earlier=10_000)
            found = stop_after(tracer, count)
    assert told(found) == {("TCP_RFC7323_PAWS", "tcp", "rx"): count}
    assert ns.counters()["TcpExtPAWSEstab"] == count


def test_what_the_receive_buffer_has_no_room_for(ns: Namespace) -> None:
    with listening(ns) as listener, Host(ns) as host:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made, talk = accepted(listener, host)
        with made, events(ns) as tracer:
            # out of order, with a gap before each: none can be put to another
            for i in range(300):
                host.say(talk, b"x", ahead=2 * i + 1)

            def counted() -> dict[str, int]:
                counters = ns.counters()
                names = ("OFODrop", "RcvQDrop", "ZeroWindowDrop")
                return {name: counters[f"TcpExtTCP{name}"] for name in names}

            wait_until(lambda: counted()["OFODrop"], "a drop")
            end = counted()
            records = drops(tracer.stop())
    found = Counter(r["reason"] for r in records if not r["expected"])
    assert found["PROTO_MEM"] == end["OFODrop"] + end["RcvQDrop"] > 0
    assert found["TCP_ZEROWINDOW"] == end["ZeroWindowDrop"]
    assert {r["pid"] for r in records} == {os.getpid()}


def test_what_ends_beyond_the_window_that_was_announced(ns: Namespace) -> None:
    """It begins within. Where something waits to be read, the kernel takes none of it."""
    count, data = 7, b"x" * 10
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host)
        host.say(talk, data)
        talk.sequence += len(data)
        wait_until(lambda: made.recv(100, socket.MSG_PEEK), "something unread")
        info = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (window,) = struct.unpack_from("I", info, RCV_WND)
        with made, events(ns) as tracer:
            for _ in range(count):
                host.say(talk, b"x" * 100, ahead=window - 50)
            found = stop_after(tracer, count)
    assert told(found) == {("TCP_INVALID_END_SEQUENCE", "tcp", "rx"): count}
    assert ns.counters()["TcpExtBeyondWindow"] == count
    assert {(r["pid"], r["owner_from"]) for r in found} == {(os.getpid(), "socket")}


def test_a_connection_whose_route_is_gone_drops_what_it_sends(ns: Namespace) -> None:
    with listening(ns) as listener, Host(ns) as host:
        made, _ = accepted(listener, host)
        with made, events(ns) as tracer:
            ns.run("ip", "route", "flush", "dev", "near")
            before = ns.counters()["IpOutNoRoutes"]
            made.send(b"x" * 10)
            found = stop_after(tracer, 1)
            missing = ns.counters()["IpOutNoRoutes"] - before
    assert {(r["reason"], r["direction"]) for r in found} == {("IP_OUTNOROUTES", "tx")}
    assert 1 <= len(found) <= missing
    assert {(r["laddr"], r["raddr"], r["pid"]) for r in found} == {(NEAR, SILENT, os.getpid())}


# --- the end of connections ---------------------------------------------------------


def closed_first_by_the_client(
    ns: Namespace, server: Program, client: Program, address: str
) -> None:
    """Its socket is gone, but for a mini-socket, as the server's FIN comes."""
    client.do("connect", name="c", address=address, port=PORT)
    server.do("accept", name="s", listener="l")
    client.do("close", name="c")
    server.do("receive", name="s")  # its end
    side = ("state", "fin-wait-2", f"dport = :{PORT}")
    wait_until(lambda: ns.run("ss", "-tnH", *side), "our FIN to be acknowledged")
    server.do("close", name="s")
    wait_until(lambda: not ns.run("ss", "-tnH", *side), "its FIN")


@pytest.mark.parametrize(
    "address", [pytest.param("127.0.0.1", marks=pytest.mark.guest("drop", "raw_tp")), "::1"]
)
def test_connections_that_end_as_they_should_lose_nothing(
    ns: Namespace, client: Program, address: str
) -> None:
    """The kernel frees a FIN for a mini-socket as it frees what it refuses, with no reason."""
    count = 7
    with (
        server_in(ns, address=address) as server,
        Tracer("drops", "--packets", "--netns", ns.name, json=False) as losses,
        Tracer("drops", "--packets", "--all", "--netns", ns.name) as every,
        Tracer("events", "--kind", "drop", "--netns", ns.name) as lines,
    ):
        for _ in range(count):
            closed_first_by_the_client(ns, server, client, address)
        documents, records = every.stop(), drops(lines.stop())
        losses.stop()
    assert f"\n{count} expected ones hidden: nothing is lost with them" in losses.stdout
    assert "NOT_SPECIFIED" not in losses.stdout
    rows = [one for one in documents if one["kind"] == "drop_summary"]
    assert sum(row["count"] for row in rows) == count
    assert {(row["expected"], row["layer"]) for row in rows} == {(True, "tcp")}
    assert all(row["meaning"].startswith("a FIN, ACK or RST for a connection") for row in rows)
    assert [(r["expected"], r["tcp_flags"]) for r in records] == [(True, "FIN|ACK")] * count
    assert every.counts["lost"] == lines.counts["lost"] == 0


def test_what_a_connection_that_is_over_refuses_is_lost(ns: Namespace) -> None:
    """Data, which is answered with a RST; and a SYN that is no newer than what was."""
    count = 5
    with listening(ns) as listener, Host(ns) as host, events(ns) as tracer:
        for i in range(count):
            talk = host.open(port=31000 + i)
            listener.accept()[0].close()
            host.answer(talk.port, FIN)
            talk.acked += 1
            host.say(talk, b"")
            wait_until(lambda: in_state(ns, "fin-wait-2"), "a mini-socket")
            if i % 2:
                host.say(talk, b"x" * 10)
                wait_until(lambda: not in_state(ns, "fin-wait-2"), "the RST")
            else:
                host.send(FIN | ACK, talk.port, PORT, talk.sequence, talk.acked)
                wait_until(lambda: not in_state(ns, "fin-wait-2"), "the FIN to be taken")
                host.send(SYN, talk.port, PORT, talk.sequence - 1000)
        found = stop_after(tracer, count)
    assert told(found) == {("NOT_SPECIFIED", "tcp", "rx"): count}
    assert Counter(r["tcp_flags"] for r in found) == {"SYN": 3, "ACK": 2}


def in_state(ns: Namespace, state: str) -> bool:
    return bool(ns.run("ss", "-tnH", "state", state, f"sport = :{PORT}"))


# --- the table ----------------------------------------------------------------------


def summaries(documents: list[Record]) -> Counter[tuple[str, str, int]]:
    """Packets by reason, place's function and local port."""
    found: Counter[tuple[str, str, int]] = Counter()
    for one in documents:
        if one["kind"] == "drop_summary":
            function = (one["location"] or "").partition("+")[0]
            found[one["reason"], function, one["lport"]] += one["count"]
    return found


def overflowing() -> str:
    """What the kernel calls it: "tcp: add four drop reasons to tcp_check_req()" (in v6.15)."""
    name = "TCP_LISTEN_OVERFLOW"
    return name if name in reason_names().values() else "NOT_SPECIFIED"


def known_by() -> str:
    return "socket" if tells_sockets() else "listener_port"


def test_drops_of_listeners_and_of_packets_stand_in_one_table_each_once(
    ns: Namespace, server: Program, client: Program
) -> None:
    acks, backlog, shut = 7, 10, 5
    server.do("listen", name="l", backlog=backlog)
    with (
        Host(ns) as host,
        Tracer("drops", "--netns", ns.name) as both,
        Tracer("drops", "--packets", "--netns", ns.name) as packets,
    ):
        client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=20000, count=acks)
        client.do("hold", address=NEAR, port=PORT, count=backlog + 1)
        client.do("send_acks", source=SILENT, address=NEAR, port=PORT, first=20000, count=acks)
        for i in range(shut):
            host.send(SYN, 21000 + i, SHUT)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= shut, "resets")
        one_table, other = both.stop(), packets.stop()
    at_port = ("NO_SOCKET", "tcp_v4_rcv", SHUT)
    assert summaries(one_table) == {
        ("accept_queue_full", "tcp_check_req", PORT): acks,
        at_port: shut,
    }
    overflow = (overflowing(), "tcp_v4_rcv", PORT)
    assert summaries(other) == {overflow: acks, at_port: shut}
    assert ns.counters()["TcpExtListenOverflows"] == acks
    (of_server,) = [r for r in other if r.get("reason") == overflowing()]
    assert (of_server["pid"], of_server["owner_from"]) == (server.pid, known_by())


def test_expected_ones_are_hidden_and_how_many_is_said(ns: Namespace) -> None:
    again, data = 5, b"x" * 10
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host)
        with (
            made,
            Tracer("drops", "--packets", "--netns", ns.name, json=False) as hiding,
            Tracer("drops", "--packets", "--all", "--netns", ns.name) as showing,
        ):
            host.say(talk, data)
            assert made.recv(100) == data
            for _ in range(again):
                host.say(talk, data)
            wait_until(lambda: ns.counters()["TcpExtDelayedACKLost"] >= again, "old segments")
            documents = showing.stop()
            hiding.stop()
    assert sum(one["count"] for one in documents if one["expected"]) == again
    assert f"{again} expected ones hidden: nothing is lost with them (--all)" in hiding.stdout
    assert "TCP_OLD" not in hiding.stdout


def replayed(*arguments: str) -> list[Record]:
    done = subprocess.run(
        [*COMMAND, *arguments, "-j"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return checked(done.stdout.splitlines())


def test_a_recording_has_the_same_packets_reasons_and_places(ns: Namespace, tmp_path: Path) -> None:
    count, kept = 11, str(tmp_path / "kept")
    with Host(ns) as host, Tracer("drops", "--netns", ns.name, "-w", kept) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i, SHUT + i % 2)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= count, "resets")
        live = tracer.stop()
    assert sum(one["count"] for one in live if one["kind"] == "drop_summary") == count
    assert replayed("drops", "-r", kept) == live
    narrowed = replayed("drops", "-r", kept, "--lport", str(SHUT))
    assert summaries(narrowed) == {("NO_SOCKET", "tcp_v4_rcv", SHUT): 6}
    part = replayed("drops", "-r", kept, "--since", "+1us")
    assert summaries(part) == summaries(live)
    by = replayed("drops", "-r", kept, "--packets", "--by", "dev,peer/24,reason")
    (one,) = [r for r in by if r["kind"] == "drop_summary"]
    assert (one["dev"], one["peer"], one["reason"], one["count"]) == (
        "near",
        "10.99.0.0/24",
        "NO_SOCKET",
        count,
    )


def test_a_capture_opens_in_wireshark_with_why_where_and_whose_as_comments(
    ns: Namespace, server: Program, tmp_path: Path
) -> None:
    count, path = 7, str(tmp_path / "dropped.pcapng")
    rules(ns, "input", f"tcp dport {PORT}")
    server.do("listen", name="l")
    with Host(ns) as host, Tracer("drops", "--packets", "--netns", ns.name, "-w", path) as tracer:
        for i in range(count):
            host.send(SYN, 20000 + i)
            host.send(SYN, 21000 + i, SHUT)
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= count, "resets")
        documents = tracer.stop()
    assert sum(d["count"] for d in documents if d["kind"] == "drop_summary") == 2 * count
    names = ["ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "tcp.flags.syn", "frame.comment"]
    fields = [part for name in names for part in ("-e", name)]
    read = ["tshark", "-n", "-r", path, "-T", "fields", *fields]
    done = subprocess.run(read, capture_output=True, text=True, check=True)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == 2 * count
    assert {tuple(line[:2]) for line in lines} == {(SILENT, NEAR)}
    assert [line[2] for line in lines if line[3] == str(PORT)] == [
        str(20000 + i) for i in range(count)
    ]
    comments = {line[3]: line[5] for line in lines}
    assert comments[str(PORT)].startswith("NETFILTER_DROP at nft_do_chain+0x")
    assert f"; owner tt-server[{server.pid}], by its listener port" in comments[str(PORT)]
    assert comments[str(SHUT)].startswith("NO_SOCKET at tcp_v4_rcv+0x")
    assert comments[str(SHUT)].endswith("; owner not known")


def test_what_a_device_dropped_is_told_beside_the_packets(ns: Namespace) -> None:
    count = 17
    with Host(ns) as host, Tracer("drops", "--packets", "--netns", ns.name) as tracer:
        for _ in range(count):
            host.send_unknown()  # of a protocol that nobody here takes
        text = ("cat", "/sys/class/net/near/statistics/rx_dropped")
        wait_until(lambda: int(ns.run(*text)) >= count, "the device's own count")
        documents = tracer.stop()
        there = int(ns.run(*text))
    (one,) = [d for d in documents if d["kind"] == "device_drop" and d["dev"] == "near"]
    assert (one["counter"], one["count"], one["netns"]) == ("rx_dropped", there, ns.inode)
    assert there >= count  # a device drops what else it does not know, too
    assert summaries(documents) == {}


FILTERS: tuple[tuple[str, ...], ...] = (
    ("--lport", str(PORT)),
    ("--rport", "20001-20003"),
    ("--raddr", SILENT),
    ("--laddr", "127.0.0.0/8"),
    ("--comm", "tt-server"),
    ("--exclude", f"port={SHUT}"),
    ("--state", "listen"),
    ("--state", "established"),
    ("--failed",),
    ("--slower", "1us"),
    ("-6",),
    ("--uid", "0"),
)


@pytest.mark.parametrize("asked", FILTERS, ids=" ".join)
def test_a_filter_leaves_the_same_packets_live_and_of_a_recording(
    whole: tuple[str, dict[tuple[str, ...], list[Record]]], asked: tuple[str, ...]
) -> None:
    kept, live = whole
    again = drops(replayed("events", "-r", kept, *asked))
    assert [told_apart(r) for r in again] == [told_apart(r) for r in live[asked]]


def test_filters_of_packets_leave_some_and_refuse_some(
    whole: tuple[str, dict[tuple[str, ...], list[Record]]],
) -> None:
    kept, live = whole
    every = len(drops(replayed("events", "-r", kept)))
    numbers = {" ".join(asked): len(found) for asked, found in live.items()}
    refusing = ("--laddr 127.0.0.0/8", "--slower 1us", "-6", "--state established")
    assert {name for name, number in numbers.items() if not number} == set(refusing)
    assert numbers[f"--raddr {SILENT}"] == numbers["--failed"] == every
    assert 0 < numbers["--comm tt-server"] == numbers[f"--lport {PORT}"] < every


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[tuple[str, ...], list[Record]]]:
    """A recording of all, and what each filter let through live, of the same packets."""
    kept = str(tmp_path_factory.mktemp("kept") / "all")
    command = ["events", "--kind", "drop"]
    with ExitStack() as stack:
        ns = stack.enter_context(namespace())
        add_silent_host(ns)
        server = stack.enter_context(Program("tt-server", ns.enter))
        server.do("bind", name="l", address=NEAR, port=PORT)
        server.do("listen", name="l")
        host = stack.enter_context(Host(ns))
        every = stack.enter_context(Tracer(*command, "--netns", ns.name, "-w", kept))
        tracers = {
            asked: stack.enter_context(Tracer(*command, "--netns", ns.name, *asked))
            for asked in FILTERS
        }
        for i in range(5):
            host.send(SYN, 20000 + i, SHUT)
            host.send(SYN, 20000 + i, PORT, ttl=64, good=False)
            host.send(ACK, 21000 + i, PORT)  # to a listener that has sent it nothing
        wait_until(lambda: ns.counters()["TcpOutRsts"] >= 10, "resets")
        every.stop()
        found = {asked: drops(tracer.stop()) for asked, tracer in tracers.items()}
    return kept, found


def told_apart(record: Record) -> Record:
    """What two tracers say of one packet alike: each has a clock reading of its own."""
    return {name: value for name, value in record.items() if name not in ("ts", "mono_ns")}


# --- a storm --------------------------------------------------------------------------


def test_of_a_storm_every_packet_is_counted_and_records_are_limited_and_said_to_be(
    ns: Namespace,
) -> None:
    count = 300_007
    program = str(build("bad"))
    with Tracer("drops", "--packets", "--netns", ns.name) as table, events(ns) as lines:
        said = json.loads(ns.run(program, SILENT, NEAR, str(SHUT), str(count)))
        wait_until(lambda: ns.counters()["TcpInCsumErrors"] >= said["sent"], "the last one")
        documents, records = table.stop(), lines.stop()
    dropped = ns.counters()["TcpInCsumErrors"]
    assert dropped == said["sent"] == count
    assert summaries(documents) == {("TCP_CSUM", "tcp_v4_rcv", SHUT): dropped}
    limited = sum(r["count"] for r in records if r["kind"] == "lost" and r["why"] == "limited")
    assert lines.counts["lost"] == 0, lines.stderr
    assert lines.counts["matched"] == dropped == len(drops(records)) + limited
    assert 0 < len(drops(records)) < 20_000
    assert f", {limited} limited" in lines.stderr
