"""`handshakes`: attempts summed up by outcome, what is pending, and what that means in words."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import (
    ADDRESS,
    CALLED,
    PORT,
    SHUT_PORT,
    SILENT,
    add_silent_host,
    link,
    server_in,
)
from tests.programs.reading import only, stop_after, told

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

UNROUTED = "10.97.0.1"


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def opened(ns: Namespace) -> int:
    return ns.counters()["TcpActiveOpens"]


def matched(tracer: Tracer) -> int:
    """How many attempts passed the filters; none may have been lost."""
    assert tracer.counts["lost"] == 0, tracer.stderr
    return tracer.counts["matched"]


def without_proof(records: list[Record]) -> list[Record]:
    """The summaries, without the proof behind them: nothing in it may be left over."""
    proof = [r for r in records if r["kind"] == "reconciliation"]
    assert not any(r["unexplained"] for r in proof), proof
    return [r for r in records if r["kind"] != "reconciliation"]


def sums(tracer: Tracer) -> list[Record]:
    return without_proof(tracer.stop())


def summaries(tracer: Tracer) -> dict[tuple[str, str | None], Record]:
    records = sums(tracer)
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


def test_what_was_given_up_of_older_attempts_is_told_with_the_bound_of_the_longest(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    for name in ("a", "b"):
        client.do("begin", name=name, address=SILENT, port=PORT)
    client.do("wait_in_vain", name="a", limit_ms=1200)
    with Tracer("handshakes", "--netns", ns.name, json=False) as tracer:
        for name in ("a", "b"):
            client.do("close", name=name)
        tracer.stop()
    (line,) = (line for line in tracer.stdout.splitlines() if "given up by" in line)
    assert re.match(rf"{SILENT}:{PORT}  all 2 given up by tt-client after >=[\d.]+[mu]?s ", line)


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
        (active,) = (r for r in sums(tracer) if r["role"] == "active")
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
        records = sums(tracer)
    total = Counter[str]()
    for one in records:
        total[one["role"]] += one["outcomes"]["ok"]
    assert total == {"active": 6 * count, "passive": 6 * count}
    assert [one["attempts"] for one in records if one["total"]] == [3 * count] * 2


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
    assert len(without_proof(live)) == 3
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
    (one,) = without_proof([json.loads(line) for line in done.stdout.splitlines()])
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


def test_what_was_sent_again_before_tracing_is_not_held_against_the_kernel(
    ns: Namespace, client: Program
) -> None:
    add_silent_host(ns)
    names = [f"p{i}" for i in range(5)]
    for name in names:
        client.do("begin", name=name, address=SILENT, port=PORT)
    again = "TcpExtTCPSynRetrans"
    wait_until(lambda: ns.counters()[again] >= len(names), "SYNs to be sent again")
    with Tracer("handshakes", "--netns", ns.name) as tracer:
        counted = ns.counters()[again]
        wait_until(lambda: ns.counters()[again] >= counted + len(names), "and once more")
        client.do("close", name=names[0])
        records = tracer.stop()
    (proof,) = [r for r in records if r.get("counter") == "TCPSynRetrans"]
    assert proof["kernel"] >= len(names)
    assert proof["unexplained"] == 0


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


def test_what_a_blackhole_route_answers_is_told_by_its_errno(
    ns: Namespace, client: Program
) -> None:
    ns.run("ip", "route", "add", "blackhole", SILENT)
    with Tracer("handshakes", "--netns", ns.name, json=False) as tracer:
        for name in ("a", "b", "c"):
            said = client.attempt("connect", name=name, address=SILENT, port=PORT)
            assert said["errno"] == "EINVAL"
        tracer.stop()
    told = f"{SILENT}:{PORT}  3 failed with EINVAL (as a blackhole route answers)"
    assert told in tracer.stdout.splitlines()


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
        record = only(sums(tracer))
    assert record["attempts"] == 7
    keys = list(record)[4 : list(record).index("attempts")]
    assert {key: record[key] for key in keys} == named


def test_pid_groups_name_each_process(ns: Namespace, client: Program) -> None:
    with (
        Program("tt-other", ns.enter) as other,
        Tracer("handshakes", "--netns", ns.name, "--by", "pid") as tracer,
    ):
        client.do("hold", address=ADDRESS, port=SHUT_PORT, count=7)
        other.do("hold", address=ADDRESS, port=SHUT_PORT, count=3)
        records = sums(tracer)
    assert [(r["pid"], r["attempts"]) for r in records] == [(client.pid, 7), (other.pid, 3)]
