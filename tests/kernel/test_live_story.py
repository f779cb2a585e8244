"""One connection opened on the whole screen: all that befalls it is told; names do no harm."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import namespace, wait_until
from tests.programs.driver import Program
from tests.programs.losing import DATA, Losing
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.screen import screen
from tracer.views.live.panes import PANES

pytestmark = [pytest.mark.kernel, pytest.mark.timers]
SIZES = [(80, 24), (140, 40)]
HOSTILE, HARMLESS = "\x1b[31m[b]x\n", r"\\x1b\[31m\[b\]x\\x0a"
COUNTERS = 7  # has names of the kernel's alone
SYNS = 3


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "140x40"])
def test_an_open_connection_tells_of_what_was_sent_again_and_how_it_broke(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        losing = Losing(ns)
        losing.lose(DATA, count=1)
        with screen(tmp_path, size, "--netns", ns.name) as shown:
            shown.wait_for(r"NOW ", "the first picture")
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            shown.press("2")
            shown.type("f", f"lport={PORT}")
            shown.wait_for(r"1-1 of 1", "the server's end alone")
            shown.press("Enter")
            shown.wait_for(r"still ESTABLISHED", "its history")
            server.do("send", name="s", count=997)
            assert client.do("receive", name="c", count=997)["bytes"] == 997
            assert losing.lost() == 1
            shown.wait_for(r"sent again: (rto|tlp)", "what was sent again")
            client.do("reset", name="c")
            shown.press("End")
            shown.wait_for(r"RST received", "the RST")
            shown.wait_for(r"ended: peer RST", "the end")
            shown.wait_for(r"It has ended", "what that means")
            shown.wait_for(r"TIME IN SYN_RECV|ESTABLISHED +\S+ +\d+%", "how long it was in each")
            shown.wait_for(r"complete: seen from its begin; \d+ events, 0 lost", "all of it")
            shown.press("q")
            assert shown.exit_status() == 0


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "140x40"])
def test_a_name_that_draws_or_commands_does_neither_in_any_pane(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    there = {"address": ADDRESS, "port": PORT}
    with (
        namespace() as ns,
        Program(HOSTILE, ns.enter) as both,
        screen(tmp_path, size, "--netns", ns.name) as shown,
    ):
        shown.wait_for(r"NOW ", "the first picture")
        both.do("bind", name="l", **there)
        both.do("listen", name="l", backlog=0)
        both.do("connect", name="c", **there)
        both.do("accept", name="s", listener="l")
        both.do("reset", name="c")
        assert both.do("hold", **there, count=1)["failures"] == {}
        shown.press("5")
        shown.wait_for(r"before a packet: ", "drops to be counted")
        both.do("give_up", **there, count=SYNS)
        for pane in PANES:
            shown.press(str(pane.number))
            shown.wait_for(rf"\[{pane.number} ", pane.name)
            if pane.number != COUNTERS:
                shown.wait_for(HARMLESS, f"the name, escaped, in {pane.name}")
            assert_harmless(shown.text(), shown.styled(), size)
        shown.press("2")
        shown.press("Enter")
        shown.wait_for(rf"{HARMLESS}(.|\n)*MEANS", "a connection's history")
        assert_harmless(shown.text(), shown.styled(), size)
        shown.press("q")
        assert shown.exit_status() == 0


def assert_harmless(text: str, styled: str, size: tuple[int, int]) -> None:
    assert "\x1b[31m" not in styled
    assert all(len(line) <= size[0] for line in text.splitlines())


@pytest.mark.parametrize(
    ("pane", "asked", "told"),
    [
        ("1", "tt-server", r"CLOSE_WAIT +\(states"),
        ("2", "CLOSE_WAIT", r"CLOSE_WAIT +\(states"),
        ("3", str(PORT), r"means "),
        ("4", "tt-client", r"refused +\("),
        ("6", "tt-client", r"ECONNREFUSED +\(errnos|RST|received"),
        ("7", "PassiveOpens", r"TcpPassiveOpens +\(counter-names"),
    ],
)
def test_x_says_what_the_row_means(tmp_path: Path, pane: str, asked: str, told: str) -> None:
    with (
        namespace() as ns,
        server_in(ns) as server,
        Program("tt-client", ns.enter) as client,
        screen(tmp_path, (80, 24), "--netns", ns.name) as shown,
    ):
        shown.wait_for(r"NOW ", "the first picture")
        client.do("hold", address=ADDRESS, port=PORT, count=3)
        server.do("accept_waiting", listener="l")
        client.do("let_go")
        refused = client.attempt("connect", name="c", address=ADDRESS, port=PORT + 1)
        assert refused["errno"] == "ECONNREFUSED"
        shown.wait_for(r"CLOSE_WAIT 3 ", "what its client has closed")
        shown.press(pane)
        shown.wait_for(rf"\[{pane} ", "the pane")
        shown.wait_for(re.escape(asked), "a row")
        shown.type("/", asked)
        shown.wait_for_row(asked)
        shown.press("x")
        shown.wait_for(told, "what it means")
        shown.press("x")
        wait_until(lambda: "means " not in shown.text(), "it to go")
        shown.press("q")
        assert shown.exit_status() == 0
