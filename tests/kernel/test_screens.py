"""The whole screen on a small recording of real traffic: what it shows, letter by letter.

tests/golden/screens.rec.gz is made by tests/programs/small_recording.py; UPDATE_GOLDEN=1 writes the
text files anew.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness import wait_until
from tests.programs.drops_recording import DAMAGED, INVALID, REFUSED, SHUT, UNREAD
from tests.programs.drops_recording import FULL as FULL_OF_DROPS
from tests.programs.screen import Screen, running, screen
from tests.programs.small_recording import ENDED, FULL, HELD, LEFT, PAUSES_US
from tests.schemas import checked

pytestmark = pytest.mark.kernel
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
UTF8 = "TZ=UTC LC_ALL=C.UTF-8"
ASCII = "TZ=UTC LC_ALL=C PYTHONUTF8=0"
SMALL, LARGE = (80, 24), (140, 40)
NO_COLORS = {"", "0", "1", "7", "39", "49"}  # bold, reverse, and back to the terminal's own
WAITED = len(PAUSES_US)
# pane, and what to wait for
WALK = {
    "processes": ("1", r"\[1 Proc"),
    "connections": ("2", r"\[2 Conn"),
    "listeners": ("3", r"\[3 List"),
    "handshakes": ("4", r"\[4 Hand"),
    "drops": ("5", r"\[5 Drop"),
    "resets": ("6", r"\[6 Rese"),
    "counters": ("7", r"\[7 Coun"),
    "advice": ("8", r"\[8 Advice\]"),
    "help": ("?", r"WHERE"),
}


@pytest.mark.parametrize(
    ("name", "size", "env"),
    [
        ("80x24", SMALL, UTF8),
        ("140x40", LARGE, UTF8),
        ("no-color", LARGE, f"{UTF8} NO_COLOR=1"),
        ("ascii", SMALL, ASCII),
    ],
)
def test_drops_are_laid_out_along_the_way_with_hostile_names_made_harmless(
    tmp_path: Path, name: str, size: tuple[int, int], env: str
) -> None:
    """tests/golden/drops.rec.gz is made by tests/programs/drops_recording.py."""
    path = tmp_path / "drops.rec"
    path.write_bytes(gzip.decompress((GOLDEN / "drops.rec.gz").read_bytes()))
    with screen(tmp_path, size, "-r", str(path), env=env) as shown:
        shown.wait_for(r"NOW ", "the picture")
        shown.press("5")
        shown.wait_for(r"\(A shows\)", "the pane")
        compare(f"{name}-drops-way", shown)
        tcp = SHUT + DAMAGED + FULL_OF_DROPS
        whole = rf"ip {INVALID} > netfilter {REFUSED} > tcp {tcp} > socket 0 > application {UNREAD}"
        assert re.search(whole, shown.text())
        assert "\x1b[31m" not in shown.styled()
        assert name != "ascii" or shown.text().isascii()
        if name == "no-color":
            assert set(re.findall(r"\x1b\[([0-9;]*)m", shown.styled())) <= NO_COLORS
        shown.press("A")
        shown.wait_for(r"\(A hides\)", "what nothing is lost with")
        shown.press("j")
        compare(f"{name}-drops-all", shown)
        shown.press("6")
        shown.wait_for(r"\[6 Rese", "RSTs and errors")
        compare(f"{name}-resets-made", shown)
        assert "\x1b[31m" not in shown.styled()
        shown.press("q")
        assert shown.exit_status() == 0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "small.rec"
    path.write_bytes(gzip.decompress((GOLDEN / "screens.rec.gz").read_bytes()))
    return path


@pytest.fixture
def shown(tmp_path: Path, recording: Path) -> Iterator[Screen]:
    with screen(tmp_path, LARGE, "-r", str(recording), env=UTF8) as made:
        made.wait_for(r"NOW ", "the picture")
        yield made


def compare(name: str, shown: Screen) -> None:
    """With the text that is kept under this name, once all of it has been drawn."""
    path = GOLDEN / "screens" / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(str(wait_until(lambda: _settled(shown), "it to be drawn")))
    with suppress(AssertionError):
        wait_until(lambda: _text(shown) == path.read_text(), name, seconds=5)
    assert _text(shown) == path.read_text(), name


def _settled(shown: Screen) -> str:
    """What has stayed the same for some looks."""
    looks = {_text(shown) for _ in range(20)}
    return looks.pop() if len(looks) == 1 else ""


def _text(shown: Screen) -> str:
    lines = shown.text().rstrip("\n").split("\n")
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize(
    ("name", "size", "env"),
    [
        ("80x24", SMALL, UTF8),
        ("140x40", LARGE, UTF8),
        ("no-color", LARGE, f"{UTF8} NO_COLOR=1"),
        ("ascii", SMALL, ASCII),
    ],
)
def test_every_pane_shows_what_it_did(
    tmp_path: Path, recording: Path, name: str, size: tuple[int, int], env: str
) -> None:
    with screen(tmp_path, size, "-r", str(recording), env=env) as shown:
        shown.wait_for(r"NOW ", "the picture")
        for what, (key, pattern) in WALK.items():
            shown.press(key)
            shown.wait_for(pattern, what)
            compare(f"{name}-{what}", shown)
            assert "\x1b[31m" not in shown.styled()
            assert name != "ascii" or shown.text().isascii()
            if name == "no-color":
                assert set(re.findall(r"\x1b\[([0-9;]*)m", shown.styled())) <= NO_COLORS
        shown.press("q")
        wait_until(lambda: "WHERE" not in shown.text(), "the help to go")
        shown.press("2")
        shown.press("Enter")
        shown.wait_for(r"MEANS", "the connection")
        compare(f"{name}-connection", shown)
        shown.press("q")
        assert shown.exit_status() == 0
        compare(f"{name}-summary", shown)


def test_it_fits_another_size_at_once(shown: Screen) -> None:
    shown.resize(SMALL)
    shown.wait_for(r"(?m)^q quit.* \? help$", "the narrow screen")
    compare("80x24-processes", shown)
    shown.resize(LARGE)
    shown.wait_for(r"EVENTS", "the wide screen")
    compare("140x40-processes", shown)


def test_counts_are_those_of_the_traffic(shown: Screen) -> None:
    text = shown.text()
    # both ends of what is held, and of what waits to be accepted
    assert f"ESTAB {2 * (HELD + FULL + WAITED)} " in text
    assert f"CLOSE_WAIT {LEFT} " in text
    assert f"TIME_WAIT {ENDED}" in text
    (server,) = re.findall(r"(?m)^ *\d+ tt-server-7001 .*$", text)
    assert server.split()[6:8] == [str(HELD + WAITED), str(LEFT)]
    shown.press("7")
    opened = LEFT + HELD + FULL + ENDED + WAITED
    shown.wait_for(rf"PassiveOpens +\S+ +{opened}\b", "the kernel's own count")


def test_a_filter_narrows_every_pane_and_says_so(shown: Screen) -> None:
    shown.type("f", "lport=7002")
    shown.wait_for(r"SHOWN +--lport 7002.*esc", "the header")
    shown.wait_for(rf"ESTAB {FULL} ", "its connections alone")
    assert "tt-server-7001" not in shown.text()
    shown.press("3")
    shown.wait_for(r"1-1 of 1", "its listener alone")
    shown.press("2")
    shown.wait_for(rf"1-{FULL} of {FULL}", "its connections in their pane")
    shown.press("Escape")
    shown.wait_for(rf"ESTAB {2 * (HELD + FULL + WAITED)} ", "all again")


def test_a_filter_that_cannot_be_read_is_said_and_changes_nothing(shown: Screen) -> None:
    shown.type("f", "lport=nonsense")
    shown.wait_for(r"! --lport: no TCP service is called 'nonsense'", "the cause")
    assert "SHOWN" not in shown.text()


def test_state_time_wait_is_shown_when_asked_for(shown: Screen) -> None:
    shown.press("2")
    shown.type("f", "state=time-wait")
    shown.wait_for(rf"1-{ENDED} of {ENDED}", "what is in TIME_WAIT")


def test_search_selects_what_it_finds_and_goes_on(shown: Screen) -> None:
    shown.press("2")
    shown.type("/", "close_wait")
    selected = [_selected(shown)]
    for _ in range(LEFT - 1):
        shown.press("n")
        selected.append(_selected(shown, selected[-1]))
    assert len(set(selected)) == LEFT
    assert all("CLOSE_WAIT" in line for line in selected)
    shown.press("n")
    assert _selected(shown, selected[-1]) == selected[0]
    shown.press("N")
    assert _selected(shown, selected[0]) == selected[-1]
    shown.type("/", "no such thing")
    shown.wait_for(r"no row has 'no such thing'", "the answer")


def _selected(shown: Screen, before: str = "") -> str:
    """The line in reverse, once it is another."""
    return str(wait_until(lambda: _reversed(shown, before), "another row to be selected"))


def _reversed(shown: Screen, before: str) -> str:
    for line in shown.styled().rstrip("\n").split("\n")[:-1]:  # the last may have a cursor
        if re.search(r"\x1b\[[0-9;]*7m", line):
            found = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
            return found if found != before else ""
    return ""


def test_keys_that_come_faster_than_a_line_goes_away_do_no_harm(shown: Screen) -> None:
    shown.press("2")
    shown.press("/")
    shown.wait_for(r"(?m)^/", "the line")
    shown.press("-l", "close_wait")
    shown.press("Enter", "Enter", "Escape", "Escape")
    shown.press("?")
    shown.wait_for("copy as JSON", "the help")
    shown.press("q", "Escape", "Escape")
    shown.wait_for(r"\[2 Conn", "the pane")


def test_by_process_shows_its_connections_alone(shown: Screen) -> None:
    shown.press("1")
    shown.type("/", "tt-server-7001")
    _selected(shown)
    shown.press("o")
    shown.wait_for(r"SHOWN +of tt-server-7001\[", "the header")
    shown.wait_for(rf"of {HELD + WAITED + LEFT}\b", "its connections")
    assert "tt-client" not in shown.text()


def test_the_history_of_a_connection_has_its_steps_and_can_be_written(
    shown: Screen, tmp_path: Path
) -> None:
    shown.press("2")
    shown.type("/", "close_wait")
    _selected(shown)
    shown.press("Enter")
    shown.wait_for(r"still CLOSE_WAIT", "the connection")
    text = shown.text()
    steps = ["LISTEN -> SYN_RECV", "SYN_RECV -> ESTABLISHED", "accept() waited"]
    steps += ["ESTABLISHED -> CLOSE_WAIT", "still CLOSE_WAIT"]
    places = [text.index(step) for step in steps]
    assert places == sorted(places)
    assert "complete: seen from its begin; 5 events, 0 lost in its life" in text
    assert f"{LEFT - 1} more of its sockets are like this" in " ".join(text.split())
    shown.press("n")
    shown.wait_for(r"still CLOSE_WAIT", "the next connection")
    shown.press("J")
    path = Path(*shown.wait_for(r"wrote (\S+\.jsonl) in (\S+)", "the file").groups()[::-1])
    records = checked(path.read_text().splitlines())
    path.unlink()
    assert [record["kind"] for record in records] == [
        "state",
        "state",
        "handshake",
        "accept",
        "state",
    ]
    assert len({record["cookie"] for record in records}) == 1


def test_a_recording_can_be_gone_through(shown: Screen) -> None:
    shown.wait_for(r"recording 0:02 of 0:02", "its end")
    for _ in range(2):
        shown.press("<")
    shown.wait_for(r"recording 0:00 of 0:02", "its begin")
    shown.wait_for(r"ESTAB \d+ .*", "sockets as they were")
    for _ in range(3):
        shown.press(">")
    shown.wait_for(r"recording 0:02 of 0:02", "its end again")
    compare("140x40-processes", shown)


def test_a_number_that_no_pane_has_is_answered(shown: Screen) -> None:
    shown.press("9")
    shown.wait_for(r"no pane is 9: there are 1, 2, 3, 4, 5, 6, 7, 8", "the answer")
    assert "[1 Processes]" in shown.text()


def test_texts_to_read_are_whole_on_a_narrow_screen(tmp_path: Path, recording: Path) -> None:
    with screen(tmp_path, SMALL, "-r", str(recording), env=UTF8) as small:
        small.wait_for(r"NOW ", "the picture")
        small.press("?")
        small.wait_for(r"8 Advice *\|", "the last of the panes")
        small.press("q")
        wait_until(lambda: "WHERE" not in small.text(), "the help to go")
        small.press("w")
        name, place = small.wait_for(r"wrote (\S+\.txt) in (\S+)", "the file's name").groups()
        (Path(place) / name).unlink()


@pytest.mark.parametrize("before", ["", "trap '' HUP;"], ids=["", "nohup"])
def test_nothing_is_left_of_a_recording_when_the_terminal_hangs_up(
    tmp_path: Path, recording: Path, before: str
) -> None:
    with screen(tmp_path, LARGE, "-r", str(recording), env=f"{before} {UTF8}") as made:
        made.wait_for(r"NOW ", "the picture")
    wait_until(lambda: not running(str(recording)), "it to be gone")
