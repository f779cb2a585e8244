"""Every attempt to connect ends in one `handshake` record that says how, and how long it took."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.capture import Packet, capture
from tests.programs.driver import Program
from tests.programs.places import (
    ADDRESS,
    CALLED,
    PORT,
    SHUT_PORT,
    SILENT,
    add_silent_host,
    answering,
    link,
    packets_waiting,
    server_in,
)
from tests.programs.reading import stop_after

pytestmark = pytest.mark.kernel

UNROUTED, REJECTED, ABSENT = "10.97.0.1", "10.96.0.1", "10.99.0.3"


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def trace(ns: Namespace) -> Tracer:
    return Tracer("events", "--kind", "handshake", "--netns", ns.name)


def told(records: list[Record]) -> list[tuple[str, str, str | None]]:
    """Role, outcome and errno of each."""
    return [(r["role"], r["outcome"], r["errno"]) for r in records]


def only(records: list[Record]) -> Record:
    assert len(records) == 1, records
    return records[0]


def opened(ns: Namespace) -> int:
    return ns.counters()["TcpActiveOpens"]


# --- one attempt, one record ------------------------------------------------------


@pytest.mark.parametrize("address", [ADDRESS, "::1"])
def test_a_connection_is_told_once_by_each_side(
    ns: Namespace, client: Program, address: str
) -> None:
    with server_in(ns, address=address) as server, trace(ns) as tracer:
        port = client.do("connect", name="c", address=address, port=PORT)["port"]
        records = stop_after(tracer, 2)
    by_role = {r["role"]: r for r in records}
    active, passive = by_role["active"], by_role["passive"]
    assert (active["outcome"], active["pid"], active["lport"]) == ("ok", client.pid, port)
    assert (passive["outcome"], passive["pid"], passive["rport"]) == ("ok", server.pid, port)
    assert (active["latency_from"], passive["latency_from"]) == ("syn", "synack")
    assert passive["owner_is"] == "listener"
    assert {(r["syn_sent"], r["syn_retransmits"], r["errno"]) for r in records} == {(1, 0, None)}


def test_a_refused_attempt_is_told_once_blocking_or_not(ns: Namespace, client: Program) -> None:
    with trace(ns) as tracer:
        assert client.attempt("connect", name="a", address=ADDRESS, port=SHUT_PORT)["errno"]
        client.do("begin", name="b", address=ADDRESS, port=SHUT_PORT)
        assert client.do("settle", name="b")["error"] == "ECONNREFUSED"
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert all(r["syn_sent"] == 1 and r["latency_us"] > 0 for r in records)
    assert {r["pid"] for r in records} == {client.pid}


def test_an_error_that_connect_tells_again_is_no_second_attempt(
    ns: Namespace, client: Program
) -> None:
    with trace(ns) as tracer:
        client.do("begin", name="c", address=ADDRESS, port=SHUT_PORT)
        client.do("wait_writable", name="c")
        again = client.do("again", name="c", address=ADDRESS, port=SHUT_PORT)
        assert again["said"] == "ECONNREFUSED"
        client.do("close", name="c")
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert opened(ns) == 2


def test_an_error_that_was_asked_for_before_is_no_second_attempt(
    ns: Namespace, client: Program
) -> None:
    """Once SO_ERROR has been read, connect() answers ECONNABORTED."""
    with trace(ns) as tracer:
        client.do("begin", name="c", address=ADDRESS, port=SHUT_PORT)
        assert client.do("settle", name="c")["error"] == "ECONNREFUSED"
        again = client.do("again", name="c", address=ADDRESS, port=SHUT_PORT)
        assert again["said"] == "ECONNABORTED"
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "refused", "ECONNREFUSED")] * 2
    assert opened(ns) == 2


def test_one_socket_that_is_refused_and_then_succeeds_is_two_attempts(
    ns: Namespace, client: Program
) -> None:
    with server_in(ns), trace(ns) as tracer:
        client.attempt("connect", name="c", address=ADDRESS, port=SHUT_PORT)
        assert client.do("again", name="c", address=ADDRESS, port=PORT)["said"] == "OK"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "refused", "ECONNREFUSED"), ("active", "ok", None)]
    assert records[0]["cookie"] == records[1]["cookie"]
    assert opened(ns) == 2


def test_both_sides_that_call_at_once_are_two_active_attempts(
    ns: Namespace, client: Program
) -> None:
    ports = [client.do("bind", name=name, address=ADDRESS)["port"] for name in "ab"]
    with trace(ns) as tracer:
        with packets_waiting(ns):
            # its SYN is the one packet that is let through
            client.do("begin", name="first", address=ADDRESS, port=SHUT_PORT)
            client.do("begin", name="a", address=ADDRESS, port=ports[1])
            client.do("begin", name="b", address=ADDRESS, port=ports[0])
        for name in "ab":
            assert client.do("settle", name=name)["error"] == "OK"
        records = stop_after(tracer, 3)
    both = [r for r in records if r["lport"] in ports]
    assert told(both) == [("active", "ok", None)] * 2
    assert {(r["lport"], r["rport"]) for r in both} == {tuple(ports), tuple(ports[::-1])}
    assert opened(ns) == 3


def test_a_reset_in_the_middle_of_a_simultaneous_open_is_told_as_reset(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        with answering(ns, PORT, "syn", "rst"):
            client.do("begin", name="c", address=SILENT, port=PORT)
            assert client.do("settle", name="c")["error"] == "ECONNRESET"
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "reset", "ECONNRESET")]
    assert (record["latency_from"], record["syn_sent"]) == ("syn", 1)


# --- nobody answers ---------------------------------------------------------------


def test_what_the_kernel_gives_up_is_told_as_timeout_with_its_syns(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT, retries=1)
        assert client.do("settle", name="c")["error"] == "ETIMEDOUT"
        record = only(stop_after(tracer, 1))
        counters = ns.counters()
    assert told([record]) == [("active", "timeout", "ETIMEDOUT")]
    # how often, tcp_syn_linear_timeouts has a say in as well
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] >= 1
    assert record["syn_sent"] == record["syn_retransmits"] + 1
    assert record["latency_us"] > 1_000_000


def test_what_the_application_gives_up_after_a_full_rto_is_told_as_gave_up(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT)
        assert not client.do("wait_in_vain", name="c", limit_ms=1200)["ended"]
        client.do("close", name="c")
        record = only(stop_after(tracer, 1))
        counters = ns.counters()
    assert told([record]) == [("active", "gave_up", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] == 1
    assert 1_200_000 <= record["latency_us"] < 3_000_000


def test_what_is_closed_before_an_answer_is_due_is_told_as_aborted(
    ns: Namespace, client: Program
) -> None:
    count = 11
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("give_up", address=SILENT, port=PORT, count=count)
        records = stop_after(tracer, count)
    assert told(records) == [("active", "aborted", None)] * count
    assert {r["syn_sent"] for r in records} == {1}
    assert opened(ns) == count


def test_an_attempt_whose_process_is_killed_in_connect_is_told_once(ns: Namespace) -> None:
    add_silent_host(ns)
    with Program("tt-killed", ns.enter) as client, trace(ns) as tracer:
        client.tell("connect", name="c", address=SILENT, port=PORT)
        wait_until(lambda: attempts_now(ns), "the SYN to be sent")
        client.kill()
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "aborted", None)]
    assert (record["pid"], record["syn_sent"]) == (client.pid, 1)


def attempts_now(ns: Namespace) -> str:
    return ns.run("ss", "-Htn", "state", "syn-sent")


def test_an_attempt_that_connect_itself_lets_go_of_is_told_once(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    with trace(ns) as tracer:
        client.do("begin", name="c", address=SILENT, port=PORT)
        client.do("give_up_by_connect", name="c")
        client.attempt("connect", name="d", address=ADDRESS, port=SHUT_PORT)
        records = stop_after(tracer, 2)
    assert told(records) == [("active", "aborted", None), ("active", "refused", "ECONNREFUSED")]


def test_an_attempt_older_than_the_tracer_ends_without_a_latency(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    client.do("begin", name="c", address=SILENT, port=PORT)
    with trace(ns) as tracer:
        client.do("close", name="c")
        record = only(stop_after(tracer, 1))
    assert (record["role"], record["latency_us"], record["latency_from"]) == ("active", None, None)
    assert record["pid"] == client.pid


# --- no SYN, or no way ------------------------------------------------------------


def test_an_address_without_a_route_is_unreachable_before_a_syn(
    ns: Namespace, client: Program
) -> None:
    ns.run("ip", "route", "add", "unreachable", REJECTED)
    with trace(ns) as tracer:
        for address, error in ((UNROUTED, "ENETUNREACH"), (REJECTED, "EHOSTUNREACH")):
            said = client.attempt("connect", name=address, address=address, port=PORT)
            assert said["errno"] == error
        records = stop_after(tracer, 2)
    assert told(records) == [
        ("active", "unreachable", "ENETUNREACH"),
        ("active", "unreachable", "EHOSTUNREACH"),
    ]
    assert [(r["raddr"], r["rport"]) for r in records] == [(UNROUTED, PORT), (REJECTED, PORT)]
    assert {(r["syn_sent"], r["pid"]) for r in records} == {(0, client.pid)}
    assert opened(ns) == 0


def test_a_host_that_its_link_does_not_find_is_unreachable(ns: Namespace, client: Program) -> None:
    add_silent_host(ns)
    for name, value in (("retrans_time_ms", 50), ("mcast_solicit", 1)):
        ns.run("sysctl", "-qw", f"net.ipv4.neigh.near.{name}={value}")
    with trace(ns) as tracer:
        said = client.attempt("connect", name="c", address=ABSENT, port=PORT)
        record = only(stop_after(tracer, 1))
    assert said["errno"] == "EHOSTUNREACH"
    assert told([record]) == [("active", "unreachable", "EHOSTUNREACH")]
    assert opened(ns) == 1


def test_an_attempt_that_gets_no_port_is_told_as_such_and_once(
    ns: Namespace, client: Program
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=32000 32000")
    with server_in(ns), trace(ns) as tracer:
        client.do("connect", name="a", address=ADDRESS, port=PORT)
        said = client.attempt("connect", name="b", address=ADDRESS, port=PORT)
        assert said["errno"] == "EADDRNOTAVAIL"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "ok", None), ("active", "no_port", "EADDRNOTAVAIL")]
    assert [r["syn_sent"] for r in records] == [1, 0]
    assert opened(ns) == 1


def test_a_bound_port_that_is_in_use_to_there_is_told_as_no_port_and_once(
    ns: Namespace, client: Program
) -> None:
    for name in "ab":
        client.do("bind", name=name, address=ADDRESS, port=32001, share=True)
    with server_in(ns), trace(ns) as tracer:
        client.do("begin", name="a", address=ADDRESS, port=PORT)
        said = client.do("begin", name="b", address=ADDRESS, port=PORT)
        assert said["said"] == "EADDRNOTAVAIL"
        records = [r for r in stop_after(tracer, 3) if r["role"] == "active"]
    assert told(records) == [("active", "ok", None), ("active", "no_port", "EADDRNOTAVAIL")]
    assert opened(ns) == 1


def test_what_a_security_module_forbids_is_told_as_denied(ns: Namespace, client: Program) -> None:
    client.do("forbid_connects")
    with trace(ns) as tracer:
        said = client.attempt("connect", name="c", address=ADDRESS, port=PORT)
        assert said["errno"] == "EACCES"
        record = only(stop_after(tracer, 1))
    assert told([record]) == [("active", "denied", "EACCES")]
    assert (record["raddr"], record["rport"], record["syn_sent"]) == (ADDRESS, PORT, 0)
    assert (record["pid"], opened(ns)) == (client.pid, 0)


# --- what is sent again -----------------------------------------------------------


def test_a_lost_syn_is_counted_as_the_kernel_counts_it() -> None:
    with link() as cable, server_in(cable.there, address=CALLED):
        with Program("tt-client", cable.here.enter) as client, trace(cable.here) as tracer:
            cable.cut(cable.here)
            client.do("begin", name="c", address=CALLED, port=PORT)
            cable.mend(cable.here)
            assert client.do("settle", name="c")["error"] == "OK"
            record = only(stop_after(tracer, 1))
        counters = cable.here.counters()
    assert told([record]) == [("active", "ok", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] == 1
    assert record["syn_sent"] == 2
    assert 1_000_000 < record["latency_us"] < 2_000_000
    assert record["rtt_us"] < 500_000  # of the SYN that arrived


def test_a_lost_syn_ack_is_counted_and_timed_from_the_first() -> None:
    with link() as cable, server_in(cable.there, address=CALLED):
        with Program("tt-client", cable.here.enter) as client, trace(cable.there) as tracer:
            cable.cut(cable.there)
            client.do("begin", name="c", address=CALLED, port=PORT)
            waiting = ["ss", "-Htn", "state", "syn-recv"]
            wait_until(lambda: cable.there.run(*waiting), "the SYN to be taken up")
            cable.mend(cable.there)
            assert client.do("settle", name="c")["error"] == "OK"
            record = only(stop_after(tracer, 1))
        counters = cable.there.counters()
    assert told([record]) == [("passive", "ok", None)]
    assert record["syn_retransmits"] == counters["TcpExtTCPSynRetrans"] >= 1
    assert record["syn_sent"] == record["syn_retransmits"] + 1
    assert record["latency_from"] == "synack"
    assert 900_000 < record["latency_us"] < 2_000_000


# --- how long -------------------------------------------------------------------


def test_latency_agrees_with_a_capture_of_the_packets(ns: Namespace, client: Program) -> None:
    """In the median: a capture has no part in what the two sides do before and after a packet."""
    count, most_us = 199, 50
    with server_in(ns), capture(ns, PORT) as packets, trace(ns) as tracer:
        ports = client.do("hold", address=ADDRESS, port=PORT, count=count)["ports"]
        records = stop_after(tracer, 2 * count)
    seen = moments(packets)
    active = {r["lport"]: r["latency_us"] for r in records if r["role"] == "active"}
    passive = {r["rport"]: r["latency_us"] for r in records if r["role"] == "passive"}
    assert set(active) == set(passive) == set(ports) == set(seen)
    for told_us, first, last in ((active, "syn", "synack"), (passive, "synack", "ack")):
        wrong = [told_us[p] - (seen[p][last] - seen[p][first]) / 1000 for p in ports]
        assert abs(statistics.median(wrong)) < most_us, (first, sorted(wrong)[:: count // 4])


def moments(packets: list[Packet]) -> dict[int, dict[str, int]]:
    """When the three packets of each handshake were seen, ns, by the caller's port."""
    found: dict[int, dict[str, int]] = {}
    for packet in packets:
        called = packet.target == PORT
        name = {0x02: "syn", 0x12: "synack", 0x10: "ack"}.get(packet.flags)
        if name and called == (name != "synack"):
            port = packet.source if called else packet.target
            found.setdefault(port, {}).setdefault(name, packet.moment_ns)
    return found


# --- sums -------------------------------------------------------------------------


def matched(tracer: Tracer) -> int:
    """How many attempts passed the filters; none may have been lost."""
    assert tracer.counts["lost"] == 0, tracer.stderr
    return tracer.counts["matched"]


def summaries(tracer: Tracer) -> dict[tuple[str, str | None], Record]:
    records = tracer.stop()
    assert {r["kind"] for r in records} <= {"handshake_summary"}
    return {(r["role"], r["peer"]): r for r in records}


def test_the_summary_counts_every_attempt_by_its_outcome(ns: Namespace, client: Program) -> None:
    good, bad, dropped = 31, 17, 13
    add_silent_host(ns)
    with server_in(ns), Tracer("handshakes", "--netns", ns.name) as tracer:
        client.do("hold", address=ADDRESS, port=PORT, count=good)
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=bad)
        client.do("give_up", address=SILENT, port=PORT, count=dropped)
        found = summaries(tracer)
    assert {name: one["outcomes"] for name, one in found.items()} == {
        ("active", f"{ADDRESS}:{PORT}"): {"ok": good},
        ("active", f"{ADDRESS}:{SHUT_PORT}"): {"refused": bad},
        ("active", f"{SILENT}:{PORT}"): {"aborted": dropped},
        ("passive", ADDRESS): {"ok": good},
    }
    active = found["active", f"{ADDRESS}:{PORT}"]
    assert active["latency_us"]["count"] == active["rtt_us"]["count"] == active["attempts"] == good
    assert found["active", f"{ADDRESS}:{SHUT_PORT}"]["latency_us"] is None
    assert opened(ns) == good + bad + dropped
    assert matched(tracer) == 2 * good + bad + dropped


def test_attempts_that_go_on_are_counted_with_the_age_of_the_oldest(
    ns: Namespace, client: Program
) -> None:
    count = 7
    add_silent_host(ns)
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        before = time.monotonic()
        client.do("begin", name="0", address=SILENT, port=PORT)
        begun = time.monotonic()
        for name in range(1, count):
            client.do("begin", name=str(name), address=SILENT, port=PORT)
        stopping = time.monotonic()
        found = summaries(tracer)
        stopped = time.monotonic()
    (one,) = found.values()
    assert (one["pending"], one["attempts"], one["outcomes"]) == (count, count, {})
    assert stopping - begun < one["oldest_pending_us"] / 1e6 < stopped - before


def test_an_older_attempt_that_goes_on_has_a_lower_bound_for_its_age(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    client.do("begin", name="c", address=SILENT, port=PORT)
    with Tracer("handshakes", "--netns", ns.name, json=False) as tracer:
        tracer.stop()
    (line,) = (line for line in tracer.stdout.splitlines() if "now waiting" in line)
    assert line.startswith(f"{SILENT}:{PORT}  now waiting: 1, oldest >=")


def test_active_attempts_are_the_kernels_less_those_that_sent_no_syn(
    ns: Namespace, client: Program
) -> None:
    """The kernel counts ActiveOpens once a SYN goes out, and failures of its own alone."""
    ports, more, bad, unrouted, dropped = 4, 3, 11, 5, 7
    add_silent_host(ns)
    ns.run("sysctl", "-qw", f"net.ipv4.ip_local_port_range=32000 {32000 + ports - 1}")
    with server_in(ns), Tracer("handshakes", "--netns", ns.name, "--by", "role") as tracer:
        client.do("hold", address=ADDRESS, port=PORT, count=ports + more)
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=bad)
        client.do("hold", address=UNROUTED, port=PORT, count=unrouted)
        client.do("give_up", address=SILENT, port=PORT, count=dropped)
        (active,) = (r for r in tracer.stop() if r["role"] == "active")
        counters = ns.counters()
    assert active["outcomes"] == {
        "ok": ports,
        "refused": bad,
        "unreachable": unrouted,
        "no_port": more,
        "aborted": dropped,
    }
    assert active["attempts"] - more - unrouted == counters["TcpActiveOpens"]
    assert counters["TcpAttemptFails"] == bad


@pytest.mark.parametrize("option", [["--failed"], ["--slower", "500ms"]])
def test_single_attempts_are_shown_with_those_that_go_on(
    ns: Namespace, client: Program, option: list[str]
) -> None:
    add_silent_host(ns)
    with server_in(ns), Tracer("handshakes", *option, "--netns", ns.name) as tracer:
        client.do("connect", name="a", address=ADDRESS, port=PORT)
        client.do("begin", name="b", address=SILENT, port=PORT)
        client.do("wait_in_vain", name="b", limit_ms=1100)
        client.do("close", name="b")
        client.do("begin", name="c", address=SILENT, port=PORT)
        records = tracer.stop()
    assert told(records) == [("active", "gave_up", None)]
    assert "now waiting: 1, oldest " in tracer.stderr
    assert matched(tracer) == 1


def more_than(tracer: Tracer, count: int) -> bool:
    return len(tracer.so_far()) > count


def test_intervals_add_up_to_the_total(ns: Namespace, client: Program) -> None:
    count = 13
    with server_in(ns), Tracer("handshakes", "-i", "300ms", "--netns", ns.name) as tracer:
        for _ in range(3):
            done = len(tracer.so_far())
            client.do("hold", address=ADDRESS, port=PORT, count=count)
            wait_until(partial(more_than, tracer, done), "a block")
        records = tracer.stop()
    sums = Counter[str]()
    for one in records:
        sums[one["role"]] += one["outcomes"]["ok"]
    assert sums == {"active": 6 * count, "passive": 6 * count}
    assert sum(one["attempts"] == 3 * count for one in records) == 2


def replay(command: str, path: Path) -> subprocess.CompletedProcess[str]:
    arguments = [*COMMAND, *command.split(), "-r", str(path), "-j"]
    return subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, timeout=30)


def test_a_recording_is_summed_up_as_the_live_session_was(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    path = tmp_path / "a.rec"
    with server_in(ns), Tracer("handshakes", "--netns", ns.name, "-w", str(path)) as tracer:
        client.do("hold", address=ADDRESS, port=PORT, count=23)
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=5)
        live = tracer.stop()
    assert len(live) == 3
    done = replay("handshakes", path)
    assert [json.loads(line) for line in done.stdout.splitlines()] == live
    assert done.stderr.splitlines()[-1] == tracer.stderr.splitlines()[-1]


def test_a_recording_of_everything_is_asked_for_its_handshakes_alone(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    path = tmp_path / "a.rec"
    with Tracer("record", str(path), "--netns", ns.name, json=False):
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=5)
    done = replay("handshakes", path)
    (one,) = (json.loads(line) for line in done.stdout.splitlines())
    assert one["outcomes"] == {"refused": 5}
    assert " seen, 5 matched, 0 lost in " in done.stderr.splitlines()[-1]
    failed = replay("handshakes --failed", path).stdout.splitlines()
    assert (
        told([json.loads(line) for line in failed]) == [("active", "refused", "ECONNREFUSED")] * 5
    )


@pytest.mark.parametrize(
    "state", ["close", "syn-sent", "established", "syn-recv", "listen", "close,established"]
)
def test_a_state_is_matched_in_a_recording_as_live(
    ns: Namespace, client: Program, tmp_path: Path, state: str
) -> None:
    """An attempt is between the state that it left and the one that it entered as it ended."""
    path = tmp_path / "a.rec"
    arguments = ["events", "--kind", "handshake", "--netns", ns.name]
    with server_in(ns), Tracer(*arguments, "--state", state) as tracer:
        with Tracer(*arguments, "-w", str(path)) as whole:
            client.do("hold", address=ADDRESS, port=PORT, count=3)
            client.do("hold", address=ADDRESS, port=SHUT_PORT, count=2)
            client.do("hold", address=UNROUTED, port=PORT, count=5)
            assert len(stop_after(whole, 3 + 3 + 2 + 5)) == 13
        live = tracer.stop()
    again = replay(f"events --kind handshake --state {state}", path).stdout.splitlines()
    assert Counter(told(live)) == Counter(told([json.loads(line) for line in again]))
    assert bool(live) == (state != "listen")


def test_a_recording_without_handshakes_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.rec"
    with Tracer("record", str(path), "--kind", "state", json=False):
        pass
    done = replay("handshakes", path)
    assert done.returncode == 1
    assert "keeps no handshake records" in done.stderr


def test_the_table_explains_what_its_numbers_mean(ns: Namespace, client: Program) -> None:
    add_silent_host(ns)
    arguments = ["handshakes", "--netns", ns.name]
    with server_in(ns), Tracer(*arguments, json=False) as tracer:
        client.do("hold", address=ADDRESS, port=PORT, count=3)
        client.do("begin", name="b", address=SILENT, port=PORT)
        client.do("wait_in_vain", name="b", limit_ms=1200)
        client.do("close", name="b")
        client.do("begin", name="c", address=SILENT, port=PORT)
        tracer.stop()
    lines = tracer.stdout.splitlines()
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in lines[2:5]}
    assert rows["active", f"{ADDRESS}:{PORT}"][:7] == ["3", "3", "0", "0", "0", "0", "0"]
    silent = rows["active", f"{SILENT}:{PORT}"]
    assert silent == ["2", "0", "0", "0", "1", "!", "0", "1", "-", "-", "-", "1"]
    (given_up,) = (line for line in lines if "given up by" in line)
    assert given_up.startswith(f"{SILENT}:{PORT}  1 given up by tt-client after 1.2")
    assert given_up.endswith("(1 SYN sent again), none by the kernel")
    assert any(line.startswith(f"{SILENT}:{PORT}  now waiting: 1, oldest ") for line in lines)
    assert " seen, 7 matched, 0 lost in " in lines[-1]


def test_slow_handshakes_are_explained_by_what_was_lost() -> None:
    with link() as cable, server_in(cable.there, address=CALLED):
        arguments = ["handshakes", "--netns", cable.here.name]
        with (
            Program("tt-client", cable.here.enter) as client,
            Tracer(*arguments, json=False) as tracer,
        ):
            client.do("hold", address=CALLED, port=PORT, count=3)
            cable.cut(cable.here)
            client.do("begin", name="c", address=CALLED, port=PORT)
            cable.mend(cable.here)
            client.do("settle", name="c")
            tracer.stop()
    (slow,) = (line for line in tracer.stdout.splitlines() if "loss" in line)
    assert slow.startswith(
        f"{CALLED}:{PORT}  slow ones are loss, not distance: 1 of 4 had 1 SYN sent again;"
        " the slowest: 1 SYN sent again"
    )


@pytest.mark.parametrize(
    ("by", "named"),
    [
        ("role", {"role": "active"}),
        ("peer/8", {"role": "active", "peer": "127.0.0.0/8"}),
        ("raddr,rport", {"role": "active", "raddr": ADDRESS, "rport": SHUT_PORT}),
        ("comm", {"role": "active", "comm": "tt-client"}),
    ],
)
def test_attempts_are_grouped_by_the_keys_asked_for(
    ns: Namespace, client: Program, by: str, named: dict[str, object]
) -> None:
    with Tracer("handshakes", "--netns", ns.name, "--by", by) as tracer:
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=7)
        record = only(tracer.stop())
    assert record["attempts"] == 7
    keys = list(record)[3 : list(record).index("attempts")]
    assert {key: record[key] for key in keys} == named


def test_pid_groups_name_each_process(ns: Namespace, client: Program) -> None:
    with (
        Program("tt-other", ns.enter) as other,
        Tracer("handshakes", "--netns", ns.name, "--by", "pid") as tracer,
    ):
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=7)
        other.do("hold", address=ADDRESS, port=SHUT_PORT, count=3)
        records = tracer.stop()
    assert [(r["pid"], r["attempts"]) for r in records] == [(client.pid, 7), (other.pid, 3)]
