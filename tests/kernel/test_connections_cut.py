"""`connections`: ends that the error of a socket does not tell, or tells wrongly.

The kernel's own witnesses: TCPAbortOnData, TCPAbortOnClose and OutRsts of the namespace.
"""

from __future__ import annotations

import errno
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.harness import Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, inside, packets_waiting, server_in

pytestmark = pytest.mark.kernel

TCP_USER_TIMEOUT, TCP_REPAIR = 18, 19
IP_RECVERR = 11
ROUNDS = 20


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace) -> Tracer:
    return Tracer("connections", "--netns", ns.name)


def stop_after(tracer: Tracer, count: int) -> list[Record]:
    wait_until(lambda: len(tracer.so_far()) >= count, f"{count} connections told")
    records = tracer.stop()
    assert len(records) == count
    return records


def ends(record: Record) -> tuple[object, ...]:
    return record["closed_by"], record["end"], record["errno"]


def active(records: list[Record]) -> list[Record]:
    return [r for r in records if r["rport"] == PORT]


def passive(records: list[Record]) -> list[Record]:
    return [r for r in records if r["lport"] == PORT]


def pair(options: tuple[tuple[int, int, int], ...] = ()) -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection of this process, the one that connected first."""
    with socket.create_server((ADDRESS, PORT)) as listener:
        made = socket.create_connection((ADDRESS, PORT))
        for option in options:
            made.setsockopt(*option)
        return made, listener.accept()[0]


@contextmanager
def refusing(ns: Namespace, what: str) -> Iterator[None]:
    """A rule for packets that come in."""
    table = "table ip t { chain i { type filter hook input priority 0; %s; }; }"
    subprocess.run([*ns.enter, "nft", table % what], check=True)
    yield
    ns.run("nft", "delete", "table", "ip", "t")


# --- data that nobody is to read ---------------------------------------------------


def test_data_that_comes_with_the_ack_of_our_fin_has_it_reset(
    ns: Namespace, client: Program
) -> None:
    """Where the FIN was acknowledged before the data came, it has ended by then."""
    with server_in(ns) as server, trace(ns) as tracer:
        for _ in range(ROUNDS):
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            for sender, name, receiver, other in (
                (client, "c", server, "s"),
                (server, "s", client, "c"),
            ):
                sender.do("send", name=name)
                receiver.do("receive", name=other)
            client.do("close", name="c")
            server.attempt("send", name="s", count=17)
            server.do("close", name="s")
        records = active(stop_after(tracer, 2 * ROUNDS))
    cut = [r for r in records if r["end"] == "rst_sent"]
    assert len(cut) == ns.counters()["TcpExtTCPAbortOnData"] > 0
    assert {ends(r) for r in cut} == {("local", "rst_sent", None)}
    assert {ends(r) for r in records if r not in cut} <= {("local", "fin", None)}


def test_data_that_comes_before_the_ack_of_our_fin_has_it_reset(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        client.do("send_what_fits", name="c")
        client.do("close", name="c")
        server.do("send", name="s", count=17)
        server.do("close", name="s")
        (one,) = active(stop_after(tracer, 2))
    assert ns.counters()["TcpExtTCPAbortOnData"] == 1
    assert ends(one) == ("local", "rst_sent", "ECONNRESET")


def test_a_reset_that_comes_before_the_ack_of_our_fin_is_received(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        client.do("send_what_fits", name="c")
        client.do("close", name="c")
        server.do("close", name="s")
        (one,) = active(stop_after(tracer, 2))
    assert ns.counters()["TcpExtTCPAbortOnData"] == 0
    assert ends(one) == ("local", "rst_received", "ECONNRESET")


def test_closing_with_data_unread_resets_it_in_last_ack_too(ns: Namespace, client: Program) -> None:
    with server_in(ns) as server, trace(ns) as tracer:
        client.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        server.do("send", name="s", count=17)
        server.do("half_close", name="s")
        wait_until(lambda: "CLOSE-WAIT" in ns.run("ss", "-tn"), "its FIN to have come")
        with packets_waiting(ns):
            client.do("half_close", name="c")
            client.do("close", name="c")
        server.do("close", name="s")
        (one,) = active(stop_after(tracer, 2))
    assert ns.counters()["TcpExtTCPAbortOnClose"] == 1
    assert list(one["states_us"])[-1] == "LAST_ACK"
    assert ends(one) == ("remote", "rst_sent", None)
    assert one["recv_queue"] == 17


# --- errors that are not what they seem --------------------------------------------


def test_one_that_was_refused_after_it_was_open_has_timed_out(ns: Namespace) -> None:
    with trace(ns) as tracer:
        limit = ((socket.IPPROTO_TCP, TCP_USER_TIMEOUT, 300),)
        made, other = inside(ns, lambda: pair(limit))
        with refusing(ns, f"tcp dport {PORT} reject with icmp type port-unreachable"):
            made.sendall(b"x")
            wait_until(lambda: tracer.so_far(), "it to be given up")
        made.close()
        other.close()
        (one,) = active(stop_after(tracer, 2))
    assert ends(one) == ("abort", "timeout", "ECONNREFUSED")


def test_an_error_that_a_connection_survived_is_not_its_end(ns: Namespace) -> None:
    with trace(ns) as tracer:
        made, other = inside(ns, lambda: pair(((socket.IPPROTO_IP, IP_RECVERR, 1),)))
        with refusing(ns, f"tcp dport {PORT} reject with icmp type host-unreachable"):
            made.sendall(b"x")
            # the first comes to a socket in use, one of a later packet says it aloud
            wait_until(lambda: ns.counters()["IcmpInDestUnreachs"] > 2, "ICMP messages")
        assert other.recv(100) == b"x"
        made.close()
        assert other.recv(100) == b""
        other.close()
        records = stop_after(tracer, 2)
    assert ns.counters()["TcpOutRsts"] == 0
    assert [ends(r) for r in active(records)] == [("local", "fin", None)]
    assert [ends(r) for r in passive(records)] == [("remote", "fin", None)]


def test_a_connect_that_finds_no_port_says_so(ns: Namespace) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=60000 60000")

    def attempt() -> int:
        with socket.socket() as first, socket.socket() as second:
            first.connect((ADDRESS, PORT))
            return second.connect_ex((ADDRESS, PORT))

    with server_in(ns), trace(ns) as tracer:
        assert inside(ns, attempt) == errno.EADDRNOTAVAIL
        records = stop_after(tracer, 2)
    assert ("abort", "aborted", "EADDRNOTAVAIL") in [ends(r) for r in records]


def test_what_is_taken_down_to_be_set_up_elsewhere_sends_no_reset(ns: Namespace) -> None:
    with trace(ns) as tracer:
        made, other = inside(ns, pair)
        made.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        made.close()
        (one,) = stop_after(tracer, 1)
        assert ns.counters()["TcpOutRsts"] == 0
    other.close()
    assert ends(one) == ("abort", "aborted", None)


# --- lives that are known in part --------------------------------------------------


def test_a_child_of_a_fast_open_that_is_reset_in_its_handshake_is_told(ns: Namespace) -> None:
    ns.run("sysctl", "-qw", f"net.ipv4.tcp_fastopen={0x1 | 0x2 | 0x4 | 0x200}")

    def listening() -> socket.socket:
        made = socket.create_server((ADDRESS, PORT))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
        return made

    with inside(ns, listening) as listener, inside(ns, socket.socket) as made, trace(ns) as tracer:
        made.setblocking(False)
        with refusing(ns, f"tcp sport {PORT} drop"):
            with suppress(BlockingIOError):
                made.sendto(b"hello", socket.MSG_FASTOPEN, (ADDRESS, PORT))
            listener.accept()[0].close()
            (one,) = stop_after(tracer, 1)
    assert ends(one) == ("abort", "rst_sent", None)
    assert (one["rx_bytes"], one["recv_queue"]) == (5, 5)
    assert list(one["states_us"]) == ["SYN_RECV"]
    assert one["partial"] is False
    assert 0 <= one["duration_us"] - one["states_us"]["SYN_RECV"] <= 1


def test_states_of_an_older_one_that_were_traced_are_told(ns: Namespace) -> None:
    made, other = inside(ns, pair)
    with trace(ns) as tracer:
        made.close()
        assert other.recv(100) == b""
        other.close()
        records = stop_after(tracer, 2)
    assert [list(r["states_us"]) for r in active(records)] == [["FIN_WAIT1", "FIN_WAIT2"]]
    assert [list(r["states_us"]) for r in passive(records)] == [["CLOSE_WAIT", "LAST_ACK"]]
    assert {r["partial"] for r in records} == {True}


def test_an_older_attempt_that_comes_to_be_a_connection_has_its_life(ns: Namespace) -> None:
    def attempt() -> socket.socket:
        made = socket.socket()
        made.setblocking(False)
        made.connect_ex((ADDRESS, PORT))
        return made

    with server_in(ns) as server, ExitStack() as stack:
        with refusing(ns, f"tcp dport {PORT} drop"):
            made = inside(ns, attempt)
            tracer = stack.enter_context(trace(ns))
        server.do("accept", name="s", listener="l")
        made.close()
        server.do("receive", name="s")
        server.do("close", name="s")
        (one,) = active(stop_after(tracer, 2))
    assert one["partial"] is False
    assert one["duration_us"] >= one["states_us"]["ESTABLISHED"] > 0
    assert "SYN_SENT" not in one["states_us"]
    assert one["handshake_us"] is None
