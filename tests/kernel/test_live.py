"""The whole screen, under tmux: what it shows is what the workload says it did."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.screen import Screen, running, screen
from tests.schemas import checked

pytestmark = pytest.mark.kernel
HELD, LEFT = 37, 23
BEFORE, RECORDED = 5, 13


@pytest.fixture
def busy() -> Iterator[tuple[Namespace, Program, Program]]:
    """A server that holds some connections, and does not close what its client has closed."""
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        client.do("hold", address=ADDRESS, port=PORT, count=LEFT)
        server.do("accept_waiting", listener="l")
        client.do("let_go")
        client.do("hold", address=ADDRESS, port=PORT, count=HELD)
        server.do("accept_waiting", listener="l")
        yield ns, server, client


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_the_first_picture_has_the_workloads_counts_and_its_processes(
    busy: tuple[Namespace, Program, Program], tmp_path: Path, size: tuple[int, int]
) -> None:
    ns, server, client = busy
    with screen(tmp_path, size, "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        text = shown.text()
        assert f"ESTAB {2 * HELD} " in text
        assert f"CLOSE_WAIT {LEFT} " in text
        (mine,) = [line for line in text.splitlines() if f" {server.pid} " in f" {line}"]
        assert mine.split()[1] == f"tt-server-{PORT}"
        assert str(HELD) in mine.split()
        assert str(LEFT) in mine.split()
        assert any(str(client.pid) in line for line in text.splitlines())
        assert all(len(line) <= size[0] for line in text.splitlines())
        shown.press("q")
        assert shown.exit_status() == 0


def test_what_happens_meanwhile_moves_the_counts(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, server, client = busy
    with screen(tmp_path, (80, 24), "--netns", ns.name) as shown:
        shown.wait_for(rf"ESTAB {2 * HELD} ", "the first picture")
        client.do("hold", address=ADDRESS, port=PORT, count=HELD)
        shown.wait_for(rf"ESTAB {4 * HELD} ", "the connections that came")
        server.do("accept_waiting", listener="l")
        server.do("let_go")
        client.do("let_go")
        shown.wait_for(r"ESTAB 0 .*CLOSE_WAIT 0", "all to be closed")
        shown.press("q")
        assert shown.exit_status() == 0


def test_a_full_queue_is_the_verdict_and_its_listener_is_in_its_pane(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, client = busy
    with server_in(ns, PORT + 1) as lazy, screen(tmp_path, (80, 24), "--netns", ns.name) as shown:
        lazy.do("listen", name="l", backlog=2)
        client.do("hold", address=ADDRESS, port=PORT + 1, count=3)
        shown.wait_for(rf"! {ADDRESS}:{PORT + 1} .*accept queue FULL 3/2", "the verdict")
        shown.press("3")
        row = shown.wait_for(rf"{ADDRESS}:{PORT + 1} .* 3/2 ", "the listener's row")
        assert f"tt-server-{PORT + 1}[{lazy.pid}]" in row[0]
        shown.press("q")
        assert shown.exit_status() == 0


def test_a_held_picture_stays_and_says_how_far_behind_it_is(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, client = busy
    with screen(tmp_path, (80, 24), "--netns", ns.name) as shown:
        shown.wait_for(rf"ESTAB {2 * HELD} ", "the first picture")
        shown.press("Space")
        client.do("hold", address=ADDRESS, port=PORT, count=HELD)
        shown.wait_for(r"PAUSED, [1-9]\d* s behind", "it to fall behind")
        assert f"ESTAB {2 * HELD} " in shown.text()
        shown.press("Space")
        shown.wait_for(rf"ESTAB {4 * HELD} ", "what came meanwhile")
        assert "PAUSED" not in shown.text()
        shown.press("q")
        assert shown.exit_status() == 0


def test_queues_of_connections_are_those_of_ss(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, client = busy
    client.do("send_all")
    with screen(tmp_path, (140, 90), "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("2")
        shown.type("f", f"lport={PORT}")
        shown.wait_for(rf"1-{HELD + LEFT} of {HELD + LEFT}", "the server's connections")
        shown.wait_for(r"(?m)^tt-server.* ESTABLISHED +\S+ +1 +0 ", "the queues")
        rows = re.findall(r"(?m)^tt-server\S+ .?\s+\S+:(\d+) .* \S+ +(\d+) +(\d+) ", shown.text())
        shown.press("q")
        assert shown.exit_status() == 0
    listed = ns.run("ss", "-tnH", f"sport = :{PORT}").splitlines()
    kept = {}
    for state, unread, unacknowledged, _, peer, *_ in map(str.split, listed):
        # the peer's FIN takes up a number that ss counts as a byte
        fin = state == "CLOSE-WAIT"
        kept[peer.rpartition(":")[2]] = str(int(unread) - fin), unacknowledged
    assert len(kept) == HELD + LEFT
    assert {port: (unread, unacknowledged) for port, unread, unacknowledged in rows} == kept


def test_a_summary_stays_when_it_ends(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = busy
    with screen(tmp_path, (100, 30), "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("q")
        assert shown.exit_status() == 0
        text = shown.text()
    assert f"ESTAB {2 * HELD} " in text
    assert re.search(r"\d+ seen, \d+ matched, 0 lost in ", text)
    assert "q quit" not in text


@pytest.mark.parametrize(
    ("size", "env"),
    [((79, 24), ""), ((80, 23), ""), ((80, 24), "TERM=dumb"), ((80, 24), "2>/dev/null")],
)
def test_a_terminal_that_cannot_show_it_gets_lines(
    tmp_path: Path, size: tuple[int, int], env: str
) -> None:
    with namespace() as ns, screen(tmp_path, size, "--netns", ns.name, env=env) as shown:
        shown.wait_for(r"TIME +KIND +LOCAL", "the header of lines")
        with server_in(ns):
            shown.wait_for(r"CLOSE -> LISTEN", "a line")
        shown.press("C-c")
        assert shown.exit_status() == 0


def test_it_is_drawn_in_ascii_where_the_locale_has_no_more(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = busy
    with screen(tmp_path, (140, 40), "--netns", ns.name, env="LC_ALL=C PYTHONUTF8=0") as shown:
        shown.wait_for(r"NOW ", "the first picture")
        assert shown.text().isascii()
        shown.press("q")
        assert shown.exit_status() == 0


@pytest.mark.parametrize("before", ["", "trap '' HUP;"], ids=["", "nohup"])
def test_nothing_is_left_attached_when_the_terminal_hangs_up(tmp_path: Path, before: str) -> None:
    with namespace() as ns, screen(tmp_path, (80, 24), "--netns", ns.name, env=before) as shown:
        shown.wait_for(r"NOW ", "the first picture")
    wait_until(lambda: not running(ns.name), "it to be gone")


@contextmanager
def recording(shown: Screen) -> Iterator[Path]:
    """Press R; what happens in the block is kept in a file, which is gone afterwards."""
    shown.press("R")
    path = ROOT / shown.wait_for(r"R ends (tcptrace-\S+\.tcpt)", "it to be said")[1]
    try:
        wait_until(path.exists, "the programs to be attached")
        yield path
    finally:
        path.unlink(missing_ok=True)


def read(path: Path, *arguments: str) -> tuple[list[Record], str]:
    command = [*COMMAND, "events", "-r", str(path), "-j", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines()), done.stderr


@pytest.mark.parametrize("end", ["R", "q"])
def test_what_happens_between_two_presses_of_r_is_recorded_and_nothing_else(
    busy: tuple[Namespace, Program, Program], tmp_path: Path, end: str
) -> None:
    ns, _, client = busy
    with screen(tmp_path, (140, 40), "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        client.do("hold", address=ADDRESS, port=PORT, count=BEFORE)
        with recording(shown) as path:
            opened = ns.counters()["TcpActiveOpens"]
            client.do("hold", address=ADDRESS, port=PORT, count=RECORDED)
            opened = ns.counters()["TcpActiveOpens"] - opened
            shown.press(end)
            if end == "R":
                shown.wait_for(r"0 lost in .*kept in tcptrace-\S+\.tcpt", "its end")
                shown.wait_for(r"(?m)^q quit", "the keys, with nothing recorded any more")
                client.do("hold", address=ADDRESS, port=PORT, count=BEFORE)
                shown.press("q")
            assert shown.exit_status() == 0
            assert f"kept in {path.name}" in shown.text()
            records, said = read(path, "--kind", "handshake")
    assert "ends early" not in said
    ways = Counter((one["role"], one["outcome"], one["comm"]) for one in records)
    assert ways["active", "ok", "tt-client"] == opened == RECORDED
    assert ways.total() == 2 * RECORDED


def test_what_is_recorded_already_is_not_recorded_again(
    busy: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, _, _ = busy
    kept = tmp_path / "kept.tcpt"
    with screen(tmp_path, (80, 24), "--netns", ns.name, "-w", str(kept)) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("R")
        shown.wait_for(r"-w records it already: /", "the answer")
        shown.press("q")
        assert shown.exit_status() == 0
    (tmp_path / "again").mkdir()
    with screen(tmp_path / "again", (80, 24), "-r", str(kept)) as shown:
        shown.wait_for(r"NOW ", "the picture")
        shown.press("R")
        shown.wait_for(r"this is a recording already", "the answer")
        shown.press("q")
