"""What the whole screen calls the worst, and its order of processes, agree and are of all."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import PORT, SILENT, add_silent_host
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel
HOST = "10.99.0.1"
BACKLOG, LEFT, REFUSED = 2, 30, 5
SIZE = (110, 36)
ROUNDS = 13
ORDER = ["queue full", "no answer", "connects fail", "CLOSE_WAIT"]
FULL = rf"! {HOST}:{PORT} tt-full\[\d+\]: accept queue FULL {BACKLOG + 1}/{BACKLOG}"


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


@pytest.fixture
def leaky(ns: Namespace, client: Program) -> Iterator[Program]:
    """A server that does not close what its client has closed."""
    with Program("tt-leaky", ns.enter) as made:
        made.do("bind", name="l", address=HOST, port=PORT + 1)
        made.do("listen", name="l")
        client.do("hold", address=HOST, port=PORT + 1, count=LEFT)
        made.do("accept_waiting", listener="l")
        client.do("let_go")
        yield made


@pytest.fixture
def full(ns: Namespace, client: Program, leaky: Program) -> Iterator[Program]:
    """A server whose queue is full."""
    with Program("tt-full", ns.enter) as made:
        made.do("bind", name="l", address=HOST, port=PORT)
        made.do("listen", name="l", backlog=BACKLOG)
        client.do("hold", address=HOST, port=PORT, count=BACKLOG + 1)
        yield made


def _end(shown: Screen) -> str:
    shown.press("q")
    assert shown.exit_status() == 0
    return shown.text()


def test_the_verdict_and_the_summary_are_of_all_whatever_is_shown(
    ns: Namespace, leaky: Program, full: Program, tmp_path: Path
) -> None:
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(FULL, "the verdict")
        shown.type("f", f"pid={leaky.pid}")
        shown.wait_for(r"SHOWN +--pid", "it to be narrowed")
        shown.wait_for(rf"ESTAB 0 .*CLOSE_WAIT {LEFT} ", "what is shown")
        assert re.search(FULL, shown.text())
        text = _end(shown)
    assert re.search(FULL, text)
    both_ends = 2 * (BACKLOG + 1)
    assert f"LISTEN 2  SYN_SENT 0  SYN_RECV 0  ESTAB {both_ends}  CLOSE_WAIT {LEFT}" in text
    assert re.search(r"\d+ seen, \d+ matched, 0 lost in ", text)


def test_a_pile_of_close_wait_is_a_verdict_where_nothing_is_worse(
    ns: Namespace, leaky: Program, tmp_path: Path
) -> None:
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(rf"! tt-leaky\[{leaky.pid}\]: {LEFT} sockets in CLOSE_WAIT:", "the verdict")
        assert re.search(rf"(?m)^ *{leaky.pid} tt-leaky .* CLOSE_WAIT$", shown.text())
        _end(shown)


def test_rows_are_in_the_order_of_the_verdict(
    ns: Namespace, leaky: Program, full: Program, client: Program, tmp_path: Path
) -> None:
    with (
        Program("tt-refused", ns.enter) as refused,
        Program("tt-silent", ns.enter) as silent,
        screen(tmp_path, SIZE, "--netns", ns.name) as shown,
    ):
        shown.wait_for(FULL, "the verdict")
        silent.do("begin", name="s", address=SILENT, port=PORT)
        refused.do("hold", address=HOST, port=PORT + 2, count=REFUSED)
        wait_until(lambda: _troubles(shown)[:4] == ORDER, "all four troubles, in order")
        assert _names(shown)[:4] == ["tt-full", "tt-silent", "tt-refused", "tt-leaky"]
        assert not re.search(r"\(unknown\) +- +0 ", shown.text())
        _end(shown)


def _rows(shown: Screen) -> list[str]:
    return re.findall(r"(?m)^ *\d+ tt-.*$", shown.text())


def _troubles(shown: Screen) -> list[str]:
    return re.findall(rf"(?m)^ *\d+ tt-.* ({'|'.join(ORDER)}|-)$", shown.text())


def _names(shown: Screen) -> list[str]:
    return [row.split()[1] for row in _rows(shown)]


def test_a_process_without_sockets_has_a_row_while_its_failures_are_of_the_last_minute(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    before = ns.counters()["TcpAttemptFails"]
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"nothing wrong seen yet", "the first picture")
        client.do("hold", address=HOST, port=PORT + 2, count=REFUSED)
        shown.wait_for(rf"(?m)^ *{client.pid} tt-client +- +0 .* connects fail$", "its row")
        shown.wait_for(
            rf"! tt-client\[{client.pid}\]: {REFUSED} of {REFUSED} tries to connect failed", "why"
        )
        assert ns.counters()["TcpAttemptFails"] - before == REFUSED
        shown.wait_for(r"RATE/s .*failed 0 ", "an interval without failures")
        assert re.search(rf"(?m)^ *{client.pid} tt-client +- +0 .* connects fail$", shown.text())
        _end(shown)


def test_an_attempt_without_an_answer_is_told_while_it_waits_and_when_it_was_given_up(
    ns: Namespace, client: Program, tmp_path: Path
) -> None:
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"nothing wrong seen yet", "the first picture")
        client.do("begin", name="s", address=SILENT, port=PORT)
        me = rf"! tt-client\[{client.pid}\]: "
        shown.wait_for(me + "1 wait for an answer", "the one that waits")
        assert ns.counters()["TcpExtTCPSynRetrans"] > 0
        client.do("close", name="s")
        shown.wait_for(me + r"1 of 1 tries in \S+ got no answer", "the one given up")
        assert re.search(rf"(?m)^ *{client.pid} tt-client +- +0 .* no answer$", shown.text())
        _end(shown)


def _wait_for(moment: float) -> None:
    wait_until(lambda: time.monotonic() >= moment, "the next round")


def test_a_recording_does_not_deny_what_it_holds(
    ns: Namespace, full: Program, client: Program, tmp_path: Path
) -> None:
    path, each = tmp_path / "s.tcpt", 11
    client.do("watch", device="far")
    with Tracer("record", "--kind", "all", "--netns", ns.name, str(path), json=False) as tracer:
        began = time.monotonic()
        for number in range(ROUNDS):
            _wait_for(began + 0.2 * number)
            first = 20000 + each * number
            client.do("send_syns", source=SILENT, address=HOST, port=PORT, first=first, count=each)
        tracer.stop()
    assert ns.counters()["TcpExtListenDrops"] == each * ROUNDS
    with screen(tmp_path, SIZE, "-r", str(path)) as shown:
        shown.wait_for(FULL, "its end")
        shown.press("3")
        row = rf"(?m)^{HOST}:{PORT} +tt-full\[{full.pid}\] .* 3/2 +3 +(\d+)% \S+ +0 +0 "
        assert int(shown.wait_for(row, "the listener")[1]) >= 95
        shown.wait_for(rf"accept_queue_full: at syn {each * ROUNDS}, ", "its drops")
        shown.press("<")
        shown.wait_for(
            rf"! \*:{PORT} tt-full\[{full.pid}\]: \d+ SYN dropped/s: accept_queue_full",
            "the drops before its end",
        )
        assert "KERNEL -" in shown.text()
        shown.press("<", "<", "<")
        shown.wait_for(r"; queues unknown before 0:0[23]\n", "its begin")
        _end(shown)
