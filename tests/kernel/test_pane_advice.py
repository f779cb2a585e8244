"""Pane 8: findings come as their evidence does, and each opens into it and what helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, namespace, wait_until
from tests.kernel.test_advise import findings
from tests.kernel.test_advise_filters import counted, fence
from tests.kernel.test_advise_lasting import in_state
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, CALLED, PORT, link, server_in
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel

CLOSED, REFUSED = PORT + 50, 7
BACKLOG, DROPPED = 4, 5
SIZE = (110, 34)
LEFT, STUCK = 103, 107


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


def test_what_a_program_has_closed_while_it_is_traced_is_not_said_to_be_held_by_it(
    tmp_path: Path,
) -> None:
    """With a longer tcp_fin_timeout than TIME_WAIT they stay whole sockets, of a known owner."""
    with (
        link() as path,
        server_in(path.there, PORT, CALLED) as server,
        Program("tt-client", path.here.enter) as client,
        Program("tt-other", path.here.enter) as other,
        screen(tmp_path, SIZE, "--netns", path.here.name) as shown,
    ):
        path.here.run("sysctl", "-qw", "net.ipv4.tcp_fin_timeout=120")
        shown.wait_for(r"off: syn_drop", "the first picture")
        for program, count in ((client, LEFT), (other, STUCK)):
            program.do("hold", address=CALLED, port=PORT, count=count)
            server.do("accept_waiting", listener="l")
        client.do("let_go")
        wait_until(lambda: in_state(path.here, "fin-wait-2") == LEFT, "their FINs to be known")
        path.cut(path.here)
        other.do("let_go")
        opened(shown)
        shown.wait_for(r"(?m)^info +fin-wait2 +network namespace", "it to be told")
        shown.type("/", "fin-wait2")
        told = rf"{LEFT} in FIN_WAIT2 and {STUCK} in FIN_WAIT1, .*; {LEFT + STUCK} orphans"
        shown.wait_for(told.replace(" ", r"\s+"), "its evidence")
        text = shown.text()
        assert (in_state(path.here, "fin-wait-2"), in_state(path.here, "fin-wait-1")) == (
            LEFT,
            STUCK,
        )
        path.mend(path.here)  # nothing is left behind
        shown.press("q")
        assert shown.exit_status() == 0
    rows = re.findall(r"(?m)^([a-z]+) .? *fin-wait2 +(\S+ \S+)", text)
    assert rows == [("info", "network namespace")], text


def test_what_a_packet_filter_refuses_is_told_at_its_next_look_half_a_minute_later(
    ns: Namespace, tmp_path: Path
) -> None:
    count = 23
    fence(ns, f"tcp dport {PORT} counter drop")
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown, Host(ns) as host:
        opened(shown)
        shown.wait_for(r"not\s+looked\s+at\s+yet: packet-filter", "the first look")
        for i in range(count):
            host.send(SYN, 20000 + i)
        row = re.compile(
            rf"(?m)^info +packet-filter +network namespace {ns.inode} +{count} packets"
        )
        wait_until(lambda: row.search(shown.text()), "the next look", 60)
        shown.wait_for(
            rf"table\s+inet\s+fence,\s+chain\s+gate(?s:.*)\+{count}\s+packets", "its rule"
        )
        shown.press("q")
        assert shown.exit_status() == 0
    assert [packets for _, packets in counted(ns)] == [count]
