"""`doctor --self-test` is exact where all is well, fails where it is not, and leaves nothing.

What it claims of its own connections has a witness in it: the namespace's counters are compared
too. Here it is held to what it must say where records are known to be lost.
"""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Record, namespace, wait_until
from tests.kernel.test_errors import MOUNTED, NEEDED, nobody
from tests.programs.places import flood
from tests.schemas import checked
from tracer.errors import TracerError
from tracer.selftest.workload import Workload

pytestmark = pytest.mark.kernel

KINDS = ["state", "handshake", "accept", "syn_drop", "drop"]
SUBJECTS = [*KINDS, "owner", "lost", "kernel"]
EXACT = re.compile(
    r"state (\d+)/\1 handshake (\d+)/\2 accept 11/11 syn_drop 3/3 drop 8/8"
    r" owner (\d+)/\3 lost 0 kernel (\d+)/\4\n"
)


def self_test(
    *options: str, prefix: list[str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(prefix or []), *COMMAND, "doctor", "--self-test", *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, **variables},
    )


def results(stdout: str) -> dict[str, Record]:
    return {record["subject"]: record for record in checked(stdout.splitlines())}


@pytest.mark.parametrize("transport", ["auto", "ring", "perf"])
@pytest.mark.parametrize("attach", ["auto", "raw", "tracepoint"])
def test_every_event_is_told_by_every_road(transport: str, attach: str) -> None:
    done = self_test("--transport", transport, "--attach", attach)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert EXACT.fullmatch(done.stdout)


def test_every_event_is_told_whatever_else_goes_on() -> None:
    with namespace() as space:
        traffic = threading.Thread(target=flood, args=(space, 5000))
        traffic.start()
        done = self_test()
        traffic.join()
    assert EXACT.fullmatch(done.stdout), done.stdout


def test_in_json_each_subject_is_a_probe_with_its_counts() -> None:
    done = self_test("-j")
    found = results(done.stdout)
    assert list(found) == SUBJECTS
    assert {r["status"] for r in found.values()} == {"works"}
    assert found["accept"]["expected"] == found["accept"]["found"] == 11
    records = sum(found[kind]["expected"] for kind in KINDS)
    assert found["owner"]["expected"] == records


def test_in_csv_each_subject_is_a_row() -> None:
    rows = list(csv.DictReader(io.StringIO(self_test("-f", "csv").stdout)))
    assert [row["subject"] for row in rows] == SUBJECTS
    assert all(row["expected"] == row["found"] for row in rows)


def test_it_works_under_the_list_of_capabilities() -> None:
    done = self_test("-j", prefix=[*MOUNTED, *nobody(*NEEDED["mounted"])])
    assert (done.returncode, done.stderr) == (0, "")
    found = results(done.stdout)
    assert {kind for kind in found if found[kind]["status"] != "works"} <= {"syn_drop"}
    assert found["state"]["found"] == found["state"]["expected"] > 0
    # addresses of functions are hidden from who has no CAP_SYSLOG; that is no failure, and told
    told = self_test(prefix=[*MOUNTED, *nobody(*NEEDED["mounted"])]).stdout
    if found["syn_drop"]["status"] == "unknown":
        assert "syn_drop -/3 " in told
        assert "\nsyn_drop: not tried: " in told
    syslog = {*NEEDED["mounted"], "CAP_SYSLOG"}
    done = self_test(prefix=[*MOUNTED, *nobody(*syslog)])
    assert (done.returncode, done.stderr) == (0, "")
    assert EXACT.fullmatch(done.stdout)


def test_who_may_not_trace_is_told_so() -> None:
    done = self_test(prefix=[*MOUNTED, *nobody()])
    assert (done.returncode, done.stdout) == (77, "")
    assert "CAP_BPF" in done.stderr


# --- where something is not told ------------------------------------------------


@pytest.mark.parametrize("transport", ["ring", "perf"])
def test_where_buffers_are_too_small_it_fails_and_says_how_many_are_missing(transport: str) -> None:
    # what empties them may be quick enough for a page; and records of processes, which are none of
    # these kinds, may be lost as well
    for _ in range(20):
        done = self_test("--buffer-pages", "1", "--transport", transport, "-j")
        found = results(done.stdout)
        kinds = [found[kind] for kind in KINDS]
        missing = sum(r["expected"] - r["found"] for r in kinds)
        if found["state"]["status"] != "works" and missing == found["lost"]["surplus"]:
            break
    assert done.returncode == 1
    assert all(r["surplus"] == 0 for r in kinds)
    assert 0 < missing == found["lost"]["surplus"]
    statuses = {kind: found[kind]["status"] for kind in ("state", "lost")}
    assert statuses == {"state": "degraded", "lost": "degraded"}
    assert found["kernel"]["status"] == "works", "the connections were made"
    first, hint = done.stderr.splitlines()
    assert first.startswith("tcptrace: the self-test failed: state, ")
    assert "tcptrace doctor" in hint


def test_where_sockets_cannot_be_kept_track_of_it_fails_for_what_needs_them() -> None:
    done = self_test("--sockets", "1")
    assert done.returncode == 1
    first, *more = done.stdout.splitlines()
    counts = re.match(r"state (\d+)/(\d+) .* syn_drop 3/3 .* lost (\d+) kernel 39/39$", first)
    assert counts
    assert int(counts[1]) < int(counts[2])
    assert int(counts[3]) > 0
    assert any(re.match(r"state: \d+ of [A-Z_0-9]+ [A-Z_0-9]+ missing", line) for line in more)


# --- what is left ---------------------------------------------------------------


def marked(mark: str) -> list[int]:
    """PIDs of the processes that have this in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_it_leaves_no_process_and_so_no_namespace_behind() -> None:
    mark = f"self-test-{os.getpid()}"
    assert self_test(TT_MARK=mark).returncode == 0
    assert marked(f"TT_MARK={mark}") == []


def test_killed_it_leaves_no_process_behind() -> None:
    mark = f"self-test-{os.getpid()}-killed"
    process = subprocess.Popen(
        [*COMMAND, "doctor", "--self-test"],
        env={**os.environ, "TT_MARK": mark},
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    wait_until(lambda: len(marked(mark)) == 3, "its two processes")
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    wait_until(lambda: not marked(mark), "their end")


def test_processes_that_ended_before_they_were_to_connect_are_an_error_in_words() -> None:
    """As on a machine that is so busy that they wait in vain."""
    work = Workload()
    try:
        os.kill(work.pid, signal.SIGKILL)
        os.waitid(os.P_PID, work.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(TracerError, match="have ended before they were to connect"):
            work.go()
    finally:
        work.close()
