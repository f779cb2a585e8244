"""The examples of lost packets, RSTs and refused connects do what their READMEs say.

The command is the README's own, with the numbers of this run; the witness is what the example
itself says its clients got.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import ROOT, Record, Tracer, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.timers]
FOUND = re.compile(r"PID (?P<pid>\d+)(?:, port (?P<port>\d+))?")


class Example:
    """One that runs; held after its first line until `go`, if that is asked for.

    `said` is, once it has ended, all that it printed.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], first: str) -> None:
        self._readme = (ROOT / "examples" / name / "README.md").read_text()
        self._process, self._first = process, first
        self.said = ""

    @property
    def pid(self) -> int:
        (found,) = FOUND.findall(self._first)
        return int(found[0])

    def command(self, number: int = 0) -> list[str]:
        """The README's command of this number, for this run and for as long as it is wanted."""
        told = re.findall(r"^\$ sudo tcptrace (.*)$", self._readme, re.M)[number]
        written, now = FOUND.search(self._readme), FOUND.search(self._first)
        assert written is not None
        assert now is not None
        own = dict(zip(written.groups(), now.groups(), strict=True))
        words = [own.get(word) or word for word in shlex.split(told)]
        if "-d" in words:
            at = words.index("-d")
            del words[at : at + 2]
        return words

    def go(self) -> None:
        """Whoever looks on does so from the begin."""
        self._process.send_signal(signal.SIGCONT)

    def finish(self) -> str:
        """Until it has ended by itself."""
        self.said, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        return self.said


@contextmanager
def example(name: str, held: bool = True) -> Iterator[Example]:
    """Run it as its README says; it has said its first line when the block begins."""
    script = str(Path("examples") / name / "run.py")
    command = [sys.executable, script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout
            first = process.stdout.readline()
            if held:
                process.send_signal(signal.SIGSTOP)
            yield Example(name, process, first)
        finally:
            process.kill()


def of(records: list[Record], kind: str) -> list[Record]:
    return [record for record in records if record["kind"] == kind]


def test_a_bad_link_has_segments_sent_again_fast_and_one_that_is_down_after_timeouts() -> None:
    with (
        example("packet_loss") as made,
        Tracer(*made.command()) as table,
        Tracer(*made.command(1)) as lines,
    ):
        made.go()
        wait_until(lambda: is_up_again(lines.so_far()), "the link to be down, and up again", 30)
        each, summed = lines.stop(), table.stop()
        made.finish()
    rows: Counter[str] = Counter()
    for row in of(summed, "retransmit_summary"):
        rows[row["type"]] += row["count"]
        assert row["pid"] == made.pid
    assert rows["fast"] > 10 * rows["rto"] >= 40
    proof = {r["counter"]: r for r in of(summed, "reconciliation")}
    assert proof["RetransSegs"]["kernel"] == sum(rows.values())
    assert proof["RetransSegs"]["unexplained"] == 0
    assert (table.counts["lost"], lines.counts["lost"]) == (0, 0)
    # each timeout twice as long as the one before, for one and the same segment
    last = of_type(each, "rto")[-4:]
    assert len({r["seq"] for r in last}) == 1
    assert [r["rto_us"] // last[0]["rto_us"] for r in last] == [1, 2, 4, 8]


def of_type(records: list[Record], kind: str) -> list[Record]:
    return [
        record for record in records if record["kind"] == "retransmit" and record["type"] == kind
    ]


def is_up_again(records: list[Record]) -> bool:
    """Whether after four timeouts something else was sent again."""
    return len(of_type(records, "rto")) >= 4 and records[-1]["type"] != "rto"


def test_a_refused_connect_has_a_rst_and_one_that_times_out_has_none() -> None:
    with example("refused_or_timeout") as made, Tracer(*made.command()) as tracer:
        made.go()
        said = made.finish()
        records = tracer.stop()
    got = Counter(re.findall(r"^\S+  (\w+) after", said, re.M))
    assert got == {"ECONNREFUSED": 5, "ETIMEDOUT": 5}
    errors = of(records, "error")
    assert Counter(r["errno"] for r in errors) == got
    assert {(r["pid"], r["state"], r["ended"]) for r in errors} == {(made.pid, "SYN_SENT", True)}
    resets = of(records, "reset")
    assert {(r["direction"], r["errno"]) for r in resets} == {("received", "ECONNREFUSED")}
    refused = [r["cookie"] for r in errors if r["errno"] == "ECONNREFUSED"]
    assert [r["cookie"] for r in resets] == refused
    assert tracer.counts["lost"] == 0


def test_the_gaps_of_deploys_explain_every_client_that_was_refused_or_reset() -> None:
    with example("deploy_gap") as made, Tracer(*made.command()) as tracer:
        made.go()
        said = made.finish()
        records = tracer.stop()
    got = {what: int(count) for count, what in re.findall(r"(\d+) (\w+)", said)}
    gaps = of(records, "listener_gap")
    whole = [gap for gap in gaps if gap["opened_by_pid"]]
    assert len(whole) == 4  # the last server is closed for good
    assert all(gap["gap_us"] >= 800_000 for gap in whole)
    assert sum(gap["refused"] for gap in gaps) == got["ConnectionRefusedError"]
    # who closed the port has opened it in the gap before
    assert [gap["closed_by_pid"] for gap in whole[1:]] == [g["opened_by_pid"] for g in whole[:-1]]
    by = Counter[str]()
    for row in of(records, "reset_summary"):
        by[row["by"]] += row["count"]
    assert by["no_socket"] >= got["ConnectionRefusedError"]
    assert by["listener_closed"] == sum(gap["reset_in_queue"] for gap in gaps)
    assert tracer.counts["lost"] == 0


def test_an_idle_timeout_is_named_beside_the_requests_that_it_broke() -> None:
    with (
        example("lb_idle_reset", held=False) as made,
        Tracer(*made.command(), json=False) as tracer,
    ):
        said = made.finish()
        tracer.stop()
    (failed, what) = re.findall(r"(\d+) requests failed: (.*)", said)[0]
    assert what == "ConnectionResetError"
    (spike,) = [
        line for line in tracer.stdout.splitlines() if "the idle timeout of the peer" in line
    ]
    found = re.match(r"3\.\d\ds: (\d+) of \1: ", spike)
    assert found, spike
    assert int(found[1]) >= int(failed) > 0
