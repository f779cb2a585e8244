"""Pane 8: findings come as their evidence does, and each opens into it and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, namespace, wait_until
from tests.kernel.test_advise import findings
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel

CLOSED, REFUSED = PORT + 50, 7
BACKLOG, DROPPED = 4, 5
SIZE = (110, 34)


@pytest.fixture
def place() -> Iterator[tuple[Namespace, Program, Program]]:
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        server.do("listen", name="l", backlog=BACKLOG)
        yield ns, server, client


def opened(shown: Screen) -> None:
    """The pane, and its first words of what was looked at."""
    shown.wait_for(r"off: syn_drop", "the first picture")
    shown.press("a")
    shown.wait_for(r"\[8 Advice\](?s:.*)nothing wrong by: close-wait-leak", "the pane")
    shown.wait_for(r"syn_drop attached", "its probes")


def test_the_pane_fills_as_evidence_comes_and_a_finding_opens_into_its_fix(
    place: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, server, client = place
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        opened(shown)
        assert not re.search(r"(?m)^(warn|crit|info)", shown.text())
        client.do("hold", address=ADDRESS, port=CLOSED, count=REFUSED)
        row = rf"(?m)^crit ! +failed-connects +tt-client\[{client.pid}\] -> {ADDRESS}:{CLOSED} "
        shown.wait_for(row, "the first finding")
        shown.wait_for(rf"evidence +{REFUSED} refused; 0 SYNs sent again", "its evidence")
        client.do("hold", address=ADDRESS, port=PORT, count=BACKLOG + 1)
        client.do("give_up", address=ADDRESS, port=PORT, count=DROPPED)
        full = rf"(?m)^crit ! +accept-queue-full +\S+\[{server.pid}\] {ADDRESS}:{PORT} "
        shown.wait_for(full, "the second finding")
        overflows = ns.counters()["TcpExtListenOverflows"]
        shown.type("/", "accept-queue")
        shown.wait_for(rf"CRIT accept-queue-full .*: {overflows} SYNs and ACKs dropped", "it below")
        shown.wait_for(r"(?m)^/accept-queue *$", "the row to be found")
        shown.press("Enter")
        shown.wait_for(rf"\|CRIT accept-queue-full .*: {overflows} SYNs and ACKs", "it, whole")
        shown.wait_for(r"\|  fix +accept\(\) more often", "what helps")
        shown.wait_for(r"\|  risk +\S+", "what that costs")
        shown.press("Escape")
        wait_until(lambda: "|CRIT" not in shown.text(), "it to go")
        shown.press("q")
        assert shown.exit_status() == 0
    assert overflows >= DROPPED


def test_what_is_well_is_shown_to_be_so_and_esc_leaves_nothing_open(
    place: tuple[Namespace, Program, Program], tmp_path: Path
) -> None:
    ns, server, client = place
    server.tell("serve", listener="l")
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        opened(shown)
        client.do("call", address=ADDRESS, port=PORT, count=197)
        shown.wait_for(r"(?s)0-0 of 0.*nothing wrong by: .*failed-connects", "no finding")
        shown.press("Enter")
        shown.wait_for(r"nothing has been found", "the answer")
        shown.press("q")
        assert shown.exit_status() == 0
    server.stop()
    assert findings("--now", "--netns", ns.name) == []
