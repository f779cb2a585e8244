"""`accepts` from frames made here: rows, sums, queues, and no work per accept."""

from __future__ import annotations

import csv
import io
import json
import sys
from errno import EMFILE, ENFILE
from ipaddress import ip_address
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tracer.errors import TracerError
from tracer.player import Player
from tracer.views.accept_rows import By
from tracer.views.accepts import AcceptsView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.wire.batch import Encoding, view
from tracer.wire.layout import Layout, Records
from tracer.wire.recording import Frame

SECOND = 10**9
MS = 10**6
FIRST, TWIN, OTHER = 0x11, 0x12, 0x13  # cookies of listeners
Record = dict[str, Any]


def _packed(text: str) -> Records:
    found = ip_address(text)
    mapped = b"\0" * 10 + b"\xff\xff" + found.packed if found.version == 4 else found.packed
    return np.frombuffer(mapped, np.uint8)


class Session:
    """Frames of a session that is made up, and what the view shows of it."""

    def __init__(
        self, wire: Layout, path: Path, form: str = "json", look: Look | None = None, **options: Any
    ) -> None:
        self.wire, self.path = wire, path
        self.output = Output(path, force=True)
        show = AcceptsView(self.output, Notices(quiet=True), look or Look(form), **options)
        self.player = Player(show)
        self._encoding = Encoding(0, wire.dtypes["large"].itemsize)
        self.feed("HEAD", json.dumps(self.head()).encode())
        tasks = np.zeros(3, wire.dtypes["task_row"])
        tasks["pid"] = tasks["local_pid"] = tasks["start"] = [41, 42, 43]
        tasks["comm"] = [b"alpha", b"alpha", b"be\nta"]
        self.feed("TASK", tasks)

    def head(self, kinds: tuple[str, ...] = ("accept",)) -> Record:
        return {
            "layout": self.wire.to_json(),
            "encoding": {"LARG": [0, self.wire.dtypes["large"].itemsize]},
            "started_ns": 0,
            "offset_ns": 0,
            "host": "test",
            "kernel": "6.0",
            "kinds": kinds,
            "keeps": ["records"],
            "filters": {},
            "attached": {"accept": "tracepoint"},
            "netns": [],
        }

    def feed(self, tag: str, data: Any) -> None:
        self.player.feed(Frame(tag, data))

    def accepts(self, count: int, **fields: Any) -> None:
        """Records of accepts: of FIRST by 41 from 10.0.0.9, if not said otherwise."""
        raw = np.zeros(count * self._encoding.stride, np.uint8)
        records = view(raw, self._encoding, self.wire.dtypes["accept"])
        given: dict[str, Any] = {
            "kind": self.wire.enums["kind"]["ACCEPT"],
            "mono_ns": np.arange(1, count + 1),
            "pid": 41,
            "family": 4,
            "netns": 1,
            "listener_cookie": FIRST,
            "listener_port": 80,
            "listener_addr": _packed("10.0.0.1"),
            "raddr": _packed("10.0.0.9"),
            "established_ns": 1,
            "wait_ns": MS,
        }
        for name, value in (given | {"start": fields.get("pid", 41)} | fields).items():
            records[name] = value
        self.feed("LARG", raw.tobytes())

    def listener(self, cookie: int, **fields: Any) -> None:
        rows = np.zeros(1, self.wire.dtypes["listener_row"])
        given = {"cookie": cookie, "port": 80, "addr": _packed("10.0.0.1"), "netns": 1}
        for name, value in (given | {"pid": 41, "start": 41, "matched": 1} | fields).items():
            rows[name] = value
        self.feed("LSTN", rows)

    def waiting(self, cookie: int, *waits_ns: int) -> None:
        rows = np.zeros(len(waits_ns), self.wire.dtypes["sock_row"])
        rows["listener_cookie"], rows["waiting_ns"], rows["matched"] = cookie, waits_ns, 1
        rows["lport"], rows["laddr"], rows["netns"] = 80, _packed("10.0.0.1"), 1
        self.feed("SOCK", rows)

    def mark(self, now_ns: int) -> None:
        self.feed("MARK", np.array([now_ns], np.int64))

    def end(self) -> str:
        self.feed("LAST", json.dumps({"mono_ns": 10 * SECOND, "ended_by": "duration"}).encode())
        self.output.close()
        return self.path.read_text()

    def records(self) -> list[Record]:
        return [json.loads(line) for line in self.end().splitlines()]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_failed_accept_is_counted_by_errno_and_is_no_wait(wire: Layout, out: Path) -> None:
    session = Session(wire, out)
    session.accepts(3, wait_ns=[MS, 2 * MS, 3 * MS])
    session.accepts(5, error=EMFILE, wait_ns=0, established_ns=0)
    session.accepts(2, error=ENFILE, wait_ns=0, established_ns=0)
    (record,) = session.records()
    assert (record["accepts"], record["failed"]) == (3, {"EMFILE": 5, "ENFILE": 2})
    assert (record["wait_us"]["count"], record["wait_us"]["sum"]) == (3, 6000)


def test_an_accept_whose_wait_is_not_known_is_no_sample(wire: Layout, out: Path) -> None:
    session = Session(wire, out)
    session.accepts(3)
    session.accepts(2, established_ns=0, wait_ns=0)
    (record,) = session.records()
    assert (record["accepts"], record["wait_us"]["count"]) == (5, 3)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (By(), [(FIRST, 41, 4), (FIRST, 42, 2), (OTHER, 43, 1)]),
        (By(pid=False), [(FIRST, None, 6), (OTHER, None, 1)]),
        (By(listener=False), [(None, 41, 4), (None, 42, 2), (None, 43, 1)]),
        (By(listener=False, pid=False, comm=True), [("alpha", None, 6), ("be\nta", None, 1)]),
        (
            By(listener=False, pid=False, peer_bits=(24, 24)),
            [("10.0.0.0/24", None, 5), ("10.0.1.0/24", None, 2)],
        ),
        (
            By(listener=False, pid=False, peer_bits=(32, 128)),
            [("10.0.0.9", None, 4), ("10.0.1.9", None, 2), ("10.0.0.7", None, 1)],
        ),
    ],
    ids=["listener,pid", "listener", "pid", "comm", "peer/24", "peer"],
)
def test_rows_are_by_what_is_asked_for(
    wire: Layout, out: Path, by: By, expected: list[tuple[Any, ...]]
) -> None:
    session = Session(wire, out, by=by)
    session.accepts(4, pid=41)
    session.accepts(2, pid=42, raddr=_packed("10.0.1.9"))
    session.accepts(1, pid=43, raddr=_packed("10.0.0.7"), listener_cookie=OTHER, listener_port=81)
    found = []
    for record in session.records():
        first = int(record["listener_cookie"], 16) if by.listener else None
        if by.comm or by.peer_bits:
            first = record["comm"] if by.comm else record["peer"]
        found.append((first, record["pid"], record["accepts"]))
    assert found == expected


@pytest.mark.parametrize("form", ["json", "table", "csv"])
def test_where_failures_cannot_be_seen_they_are_unknown(wire: Layout, out: Path, form: str) -> None:
    session = Session(wire, out, form)
    head = session.head() | {"attached": {"accept": "off"}}
    session.feed("HEAD", json.dumps(head).encode())
    session.accepts(2)
    text = session.end()
    if form == "json":
        assert json.loads(text)["failed"] is None
    elif form == "csv":
        row = list(csv.DictReader(io.StringIO(text)))[-1]
        assert {row[name] for name in row if name.startswith("failed_")} == {""}
    else:
        assert text.splitlines()[2].split()[2:4] == ["2", "-"]


def test_an_accept_that_failed_has_no_peer(wire: Layout, out: Path) -> None:
    session = Session(wire, out, by=By(peer_bits=(8, 8)))
    session.accepts(2)
    session.accepts(3, error=EMFILE, raddr=_packed("0.0.0.0"))
    failed, good = session.records()
    assert (failed["peer"], failed["accepts"], failed["failed"]) == (None, 0, {"EMFILE": 3})
    assert (good["peer"], good["accepts"], good["failed"]) == ("10.0.0.0/8", 2, {})


def test_an_interval_has_its_own_extremes_and_all_add_up(wire: Layout, out: Path) -> None:
    session = Session(wire, out)
    session.accepts(2, wait_ns=[MS, 9 * MS])
    session.listener(FIRST, reset_in_queue=2)
    session.mark(SECOND)
    session.accepts(3, wait_ns=[2 * MS, 3 * MS, 4 * MS])
    session.listener(FIRST, reset_in_queue=5, never_accepted=1)
    session.mark(3 * SECOND)
    one, two, total = session.records()
    assert [r["span_us"] for r in (one, two, total)] == [1_000_000, 2_000_000, 10_000_000]
    assert [r["accepts"] for r in (one, two, total)] == [2, 3, 5]
    extremes = [(r["wait_us"]["min"], r["wait_us"]["max"]) for r in (one, two, total)]
    assert extremes == [(1000, 9000), (2000, 4000), (1000, 9000)]
    ends = [(r["reset_in_queue"], r["never_accepted"]) for r in (one, two, total)]
    assert ends == [(2, 0), (3, 1), (5, 1)]


def test_a_listener_that_closed_is_told_of_once_and_not_forgotten(wire: Layout, out: Path) -> None:
    session = Session(wire, out)
    session.waiting(FIRST, MS, 5 * MS)
    session.listener(FIRST)
    session.mark(SECOND)
    session.waiting(FIRST)
    session.listener(FIRST, never_accepted=2, closed_ns=SECOND)
    session.mark(2 * SECOND)
    session.waiting(FIRST)
    session.listener(OTHER, port=81)
    first, second, total = session.records()
    assert (first["waiting"], first["oldest_waiting_us"], first["pid"]) == (2, 5000, None)
    assert (second["waiting"], second["never_accepted"]) == (0, 2)
    assert (total["waiting"], total["never_accepted"]) == (0, 2)


def test_without_listeners_in_the_recording_their_counts_are_unknown(
    wire: Layout, out: Path
) -> None:
    session = Session(wire, out)
    session.accepts(1)
    (record,) = session.records()
    assert [record[name] for name in ("waiting", "reset_in_queue", "never_accepted")] == [None] * 3


def test_a_recording_without_accepts_is_refused(wire: Layout, out: Path) -> None:
    session = Session(wire, out)
    with pytest.raises(TracerError, match="no accept records"):
        session.feed("HEAD", json.dumps(session.head(("state",))).encode())


def test_the_table_has_rows_sums_bars_and_queues(wire: Layout, out: Path) -> None:
    session = Session(wire, out, "table")
    session.accepts(2, wait_ns=500_000)
    session.accepts(6, pid=43, wait_ns=[3 * MS, 3 * MS, 3 * MS, 3 * MS, 3 * MS, 200 * MS])
    session.accepts(1, pid=43, error=EMFILE, wait_ns=0, established_ns=0)
    session.accepts(1, pid=42, listener_cookie=TWIN, wait_ns=MS)
    session.listener(FIRST, reset_in_queue=3)
    session.waiting(TWIN, 44 * MS)
    scope, *rest, proof = session.end().splitlines()
    assert scope.startswith("accepts  test  6.0  all netns  10s to 1970-01-01 ")
    assert scope.endswith("  probes: tracepoint")
    assert proof == "0 seen, 0 matched, 0 lost in 10s"
    assert rest == [
        "LISTENER             ACCEPTED BY  ACCEPTS     FAILED   MEAN   p50   p90   p99 p99.9   max",
        r"10.0.0.1:80 (1 of 2) be\x0ata[43]       6 1 EMFILE ! 35.8ms   3ms"
        " 190ms 190ms 190ms 200ms",
        "10.0.0.1:80 (1 of 2) alpha[41]          2          0  500us 500us 500us 500us 500us 500us",
        "10.0.0.1:80 (1 of 2) (all 2)            8 1 EMFILE !   27ms   3ms 190ms 190ms 190ms 200ms",
        "10.0.0.1:80 (2 of 2) alpha[42]          1          0    1ms   1ms   1ms   1ms   1ms   1ms",
        "  100us - 1ms |########################                        3  33.3%",
        "   1ms - 10ms |########################################        5  55.6%",
        " 10ms - 100ms |                                                0   0.0%",
        "   100ms - 1s |########                                        1  11.1%",
        "10.0.0.1:80 (1 of 2)  in the queue now 0; reset while waiting 3; never accepted 0",
        "10.0.0.1:80 (2 of 2)  in the queue now 1, oldest 44ms; reset while waiting 0;"
        " never accepted 0",
    ]


def test_a_limit_leaves_the_biggest_and_says_how_many_it_leaves_out(
    wire: Layout, out: Path
) -> None:
    session = Session(wire, out, look=Look(limit=2))
    for pid, count in ((41, 3), (42, 5), (43, 1)):
        session.accepts(count, pid=pid)
    lines = session.end().splitlines()
    assert [line.split()[1:3] for line in lines[2:4]] == [["alpha[42]", "5"], ["alpha[41]", "3"]]
    assert lines[4].split()[1:4] == ["(all", "3)", "9"]
    assert lines[5] == "... 1 more (--limit 0)"


def test_a_sum_counts_the_peers_and_no_row_of_nobody(wire: Layout, out: Path) -> None:
    session = Session(wire, out, "table", by=By(pid=False, peer_bits=(32, 128)))
    session.accepts(3)
    session.accepts(2, raddr=_packed("10.0.0.8"))
    session.accepts(4, error=EMFILE, wait_ns=0, established_ns=0)
    lines = session.end().splitlines()
    assert [line.split()[1] for line in lines[2:5]] == ["-", "10.0.0.9", "10.0.0.8"]
    assert lines[5].split()[1:6] == ["(all", "2)", "5", "4", "EMFILE"]


def test_ten_times_the_accepts_take_no_more_python_calls(wire: Layout, out: Path) -> None:
    def calls(count: int) -> int:
        session, made = Session(wire, out), 0

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal made
            made += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            session.accepts(count, wait_ns=np.arange(count) % 1000 * MS)
            session.mark(SECOND)
        finally:
            sys.setprofile(None)
        (record, _) = session.records()
        assert record["accepts"] == count
        return made

    calls(1000)  # imports and caches
    assert calls(100_000) == pytest.approx(calls(10_000), rel=0.01)
