"""What panes of queues, drops and handshakes show is what the kernel and the programs counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import Namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel
BACKLOG = 2
SIZE = (110, 36)
ATTACHED = r"syn_drop attached"
BOTH = r"syn_drop drop attached"
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def _dropped(ns: Namespace) -> int:
    return ns.counters()["TcpExtListenDrops"]


def _send_syns(client: Program, count: int, first: int) -> None:
    client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=first, count=count)


def _ns(text: str) -> float:
    value, unit = re.fullmatch(r"([\d.]+)(ns|us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * UNITS[unit]


def _end(shown: Screen) -> None:
    shown.press("q")
    assert shown.exit_status() == 0


def test_drops_are_those_the_kernel_counted_while_the_pane_was_open_and_no_others(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    before, first, between, second = 29, 101, 53, 37
    server.do("listen", name="l", backlog=BACKLOG)
    client.do("hold", address=NEAR, port=PORT, count=BACKLOG + 1)
    me = rf"tt-server\[{server.pid}\]"
    row = rf"^tcp +SYN: accept_queue_full .*{me} +{NEAR}:{PORT} +\S+ +%d\b"
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        _send_syns(client, before, 20000)
        shown.press("5")
        shown.wait_for(BOTH, "the pane's probes")
        _send_syns(client, first, 21000)
        shown.wait_for(r"(?m)" + row % first, "the drops")
        # the last of them, a line each
        assert len(re.findall(rf"(?m)^\S+ {SILENT}:21\d+ > :{PORT}  acc", shown.text())) > 1
        shown.press("1")
        shown.wait_for(r"syn_drop drop detached", "it to be detached")
        _send_syns(client, between, 22000)
        shown.press("5")
        shown.wait_for(BOTH, "the pane's probes again")
        _send_syns(client, second, 23000)
        shown.wait_for(r"(?m)" + row % second, "the drops since then")
        assert _dropped(ns) == before + first + between + second
        _end(shown)


def test_a_listeners_drops_are_told_by_cause_and_stage(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    count = 101
    server.do("listen", name="l", backlog=BACKLOG)
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("3")
        shown.wait_for(ATTACHED, "the pane's probes")
        client.do("hold", address=NEAR, port=PORT, count=BACKLOG + 1)
        _send_syns(client, count, 20000)
        shown.wait_for(rf"dropped +accept_queue_full: at syn {count}, ", "the drops")
        assert _dropped(ns) == count
        shown.wait_for(rf"{NEAR}:{PORT}  tt-server\[{server.pid}\], held by 1", "who holds it")
        shown.wait_for(rf"limit {BACKLOG} set by listen\({BACKLOG}\)", "who limits it")
        shown.wait_for(rf"waiting {BACKLOG + 1}, oldest [\d.]+m?s", "what waits")
        _end(shown)


def test_the_oldest_that_waits_is_as_old_as_its_connection(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    server.do("listen", name="l", backlog=100)
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("3")
        shown.wait_for(ATTACHED, "the pane's probes")
        client.do("hold", address=NEAR, port=PORT, count=1)
        old = shown.wait_for(r"waiting 1, oldest (\d\S+)", "the first")[1]
        client.do("hold", address=NEAR, port=PORT, count=4)
        newer = shown.wait_for(r"waiting 5, oldest (\d\S+)", "those that came after it")[1]
        assert _ns(newer) > _ns(old)
        server.do("accept_some", listener="l", count=1)
        # the four came after that was read
        youngest = shown.wait_for(r"waiting 4, oldest (\d\S+)", "the first of the rest")[1]
        assert _ns(youngest) < _ns(newer) + 20e9
        _end(shown)


def test_accept_waits_are_the_applications_own(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    count, pause_us = 7, 60_000
    server.do("listen", name="l", backlog=100)
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("3")
        done = client.do("connect_timed", address=NEAR, port=PORT, pauses_us=[0] * count)
        connected = {port: (called, returned) for port, called, returned in done["log"]}
        taken = server.do("accept_slowly", listener="l", pauses_us=[pause_us] * count)["log"]
        least = max(called - connected[port][1] for port, called, _ in taken)
        most = max(returned - connected[port][0] for port, _, returned in taken)
        found = shown.wait_for(
            rf"wait for accept\(\)  n {count}  p50 (\S+)  p90 \S+  p99 \S+  max (\S+)", "the waits"
        )
        # three digits are shown, and the quantile is of a bucket
        assert least * 0.99 <= _ns(found[2]) <= most * 1.01
        middle = sorted(returned - connected[port][0] for port, _, returned in taken)[count // 2]
        assert _ns(found[1]) == pytest.approx(middle, rel=0.1)
        assert re.search(rf"accepted +{count} in ", shown.text())
        bars = re.findall(r"<= (\S+) \|#* +(\d+)", shown.text())
        assert sum(int(number) for _, number in bars) == count
        _end(shown)


def test_depth_is_rate_times_wait_where_the_load_is_steady(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    """Little's law: as many come as are taken, so the queue stays as deep as it was at first."""
    depth, pause_us, count = 31, 20_000, 900
    server.do("listen", name="l", backlog=200)
    client.do("hold", address=NEAR, port=PORT, count=depth)
    with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("3")
        server.tell("accept_slowly", listener="l", pauses_us=[pause_us] * count)
        client.tell("connect_timed", address=NEAR, port=PORT, pauses_us=[pause_us] * count)
        wait_until(lambda: _is_lawful(shown), "depth, rate and wait to agree")
        _end(shown)
        server.answer()
        client.answer()


def _is_lawful(shown: Screen) -> bool:
    """By the half of all waits, and by how long the first of the queue has waited."""
    text = shown.text()
    row = re.search(rf"(?m)^{NEAR}:{PORT} +tt-server.* (\d+)/200 +\d+ +\d+% \S+ +\d+ +(\d+) ", text)
    wait = re.search(r"wait for accept\(\)  n (\d+)  p50 (\d\S+) ", text)
    oldest = re.search(r"oldest (\d\S+)", text)
    if not (row and wait and oldest) or int(wait[1]) < 100:
        return False
    deep, rate = int(row[1]), int(row[2])
    waits = [_ns(wait[2]) / 1e9, _ns(oldest[1]) / 1e9]
    return all(abs(deep - rate * waited) <= 0.2 * deep for waited in waits)


def test_handshakes_are_counted_by_process_and_by_peer(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    well, refused, shut = 31, 5, PORT + 1
    server.do("listen", name="l", backlog=100)
    before = ns.counters()
    me = rf"tt-client\[{client.pid}\]"
    with screen(tmp_path, (140, 40), "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("4")
        client.do("hold", address=NEAR, port=PORT, count=well)
        client.do("hold", address=NEAR, port=shut, count=refused)
        client.do("begin", name="s", address=SILENT, port=PORT)
        tries = well + refused + 1
        shown.wait_for(
            rf"active +{me} +\(3 peers\) +{tries} +{well} +{refused} +0 +0 +0 +1 ", "all of them"
        )
        shown.wait_for(rf"active +{me} +{NEAR}:{PORT} +{well} +{well} +0 +0 +0 +0 +0 ", "the good")
        shown.wait_for(rf"active +{me} +{NEAR}:{shut} +{refused} +0 +{refused} ", "the refused")
        shown.wait_for(
            rf"passive +tt-server\[{server.pid}\] +{NEAR} +{well} +{well} ", "the other end"
        )
        shown.wait_for(r"now waiting: 1, oldest [\d.]+m?s", "the one that goes on")
        moved = {name: count - before[name] for name, count in ns.counters().items()}
        assert moved["TcpActiveOpens"] == tries
        assert moved["TcpPassiveOpens"] == well
        assert moved["TcpAttemptFails"] == refused
        wait_until(lambda: ns.counters()["TcpExtTCPSynRetrans"], "a SYN to be sent again")
        client.do("close", name="s")
        again = ns.counters()["TcpExtTCPSynRetrans"]
        shown.wait_for(
            rf"active +{me} +{SILENT}:{PORT} +1 +0 +0 +0 +1 ! +0 +0 .* {again}\b", "the given up"
        )
        shown.wait_for(rf"1 given up by tt-client after .*{again} SYNs? ", "why it took so long")
        _end(shown)


def test_waits_are_of_all_that_is_traced_with_no_pane_open(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    count, pause_us = 7, 60_000
    server.do("listen", name="l", backlog=100)
    with screen(tmp_path, (140, 40), "--netns", ns.name) as shown:
        shown.wait_for(r"WAITS .*accept wait - - -", "the first picture")
        done = client.do("connect_timed", address=NEAR, port=PORT, pauses_us=[0] * count)
        connected = {port: (called, returned) for port, called, returned in done["log"]}
        taken = server.do("accept_slowly", listener="l", pauses_us=[pause_us] * count)["log"]
        least = max(called - connected[port][1] for port, called, _ in taken)
        most = max(returned - connected[port][0] for port, _, returned in taken)
        longest = max(returned - called for called, returned in connected.values())
        found = shown.wait_for(
            r"WAITS  handshake out (\d\S+) (\d\S+) (\d\S+)  handshake in \d\S+ \d\S+ (\d\S+)"
            r"  accept wait \d\S+ \d\S+ (\d\S+)",
            "the waits",
        )
        assert _ns(found[3]) <= longest * 1.01
        assert _ns(found[1]) <= _ns(found[2]) <= _ns(found[3])
        wait_until(
            lambda: (
                (now := re.search(r"accept wait \S+ \S+ (\d\S+)", shown.text()))
                and least * 0.99 <= _ns(now[1]) <= most * 1.01
            ),
            "the longest of them all",
        )
        _end(shown)


def test_a_pane_is_narrowed_to_the_process_that_is_selected(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    server.do("listen", name="l", backlog=100)
    with (
        Program("tt-other", ns.enter) as other,
        screen(tmp_path, SIZE, "--netns", ns.name) as shown,
    ):
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("4")
        client.do("hold", address=NEAR, port=PORT, count=3)
        other.do("hold", address=NEAR, port=PORT, count=5)
        shown.wait_for(r"active +tt-client", "one of them")
        shown.wait_for(r"active +tt-other", "the other")
        shown.press("j", "j", "o")  # its row is the second
        shown.wait_for(rf"of tt-other\[{other.pid}\]", "it to be narrowed")
        shown.press("4")
        other.do("hold", address=NEAR, port=PORT, count=7)
        client.do("hold", address=NEAR, port=PORT, count=11)
        shown.wait_for(rf"active +tt-other\[{other.pid}\] +{NEAR}:{PORT} +7 +7 ", "what came since")
        assert "active  tt-client" not in shown.text()
        _end(shown)


def test_attempts_without_a_column_of_their_own_are_in_view_on_a_narrow_screen(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    """Of a process with one peer there is one row; those that nobody answered are the worst."""
    nowhere, count, refused = "10.97.0.1", 3, 7
    me = rf"tt-client\[{client.pid}\]"
    server.do("listen", name="l", backlog=100)
    ns.run("ip", "route", "add", "unreachable", f"{nowhere}/32")
    with (
        Program("tt-other", ns.enter) as other,
        screen(tmp_path, (80, 24), "--netns", ns.name) as shown,
    ):
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("4")
        client.do("hold", address=nowhere, port=PORT, count=count)
        other.do("hold", address=NEAR, port=PORT + 1, count=refused)
        shown.wait_for(r"(?m)^ROLE .*TRIES +OK +REFUSED +NO_ANSWER +OTHER", "the columns")
        shown.wait_for(
            rf"(?m)^active +{me} +{nowhere}:{PORT} +{count} +0 +0 +0 +{count}\b",
            "its only row",
        )
        assert len(re.findall(rf"(?m)^active +{me}", shown.text())) == 1
        client.do("begin", name="s", address=SILENT, port=PORT)
        wait_until(lambda: ns.counters()["TcpExtTCPSynRetrans"], "a SYN to be sent again")
        client.do("close", name="s")
        shown.wait_for(rf"(?m)^active +{me} +\(2 peers\) +4 ", "both peers")
        wanted = [
            ("tt-client", "(2"),
            ("tt-client", f"{SILENT}:{PORT}"),
            ("tt-client", f"{nowhere}:{PORT}"),
            ("tt-other", f"{NEAR}:{PORT + 1}"),
        ]
        row = r"(?m)^active +(\S+)\[\d+\] +(\S+)"
        wait_until(lambda: re.findall(row, shown.text()) == wanted, "the order of trouble")
        _end(shown)


def test_a_narrow_screen_shows_what_became_of_a_syn_and_who_set_the_limit(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    server.do("listen", name="l", backlog=BACKLOG)
    client.do("hold", address=NEAR, port=PORT, count=BACKLOG + 1)
    with screen(tmp_path, (80, 24), "--netns", ns.name) as shown:
        shown.wait_for(r"off: syn_drop", "the first picture")
        shown.press("5")
        shown.wait_for(r"(?m)^device 0 >", "the pane's probes")
        _send_syns(client, 3, 20000)
        shown.wait_for(rf"(?m)^\S+ {SILENT}:20002 > :{PORT}  accept_queue_full at syn", "the last")
        shown.wait_for(rf"! {NEAR}:{PORT} .*FULL[^$]*\(limit: listen\)", "the verdict, whole")
        _end(shown)


def test_resets_and_errors_are_those_that_were_made_each_with_whose_it_is(
    ns: Namespace, server: Program, client: Program, tmp_path: Path
) -> None:
    refused, reset, unread = 11, 7, 3
    server.do("listen", name="l")
    with screen(tmp_path, (110, 60), "--netns", ns.name) as shown:
        shown.wait_for(r"NOW ", "the first picture")
        shown.press("6")
        for _ in range(refused):
            client.attempt("connect", name="r", address=NEAR, port=PORT + 1)
        for count, breaks, hears in ((reset, client, server), (unread, server, client)):
            for _ in range(count):
                client.do("connect", name="c", address=NEAR, port=PORT)
                server.do("accept", name="c", listener="l")
                client.do("send", name="c", count=1)
                wait_until(lambda: ns.run("ss", "-tnH", f"sport = :{PORT}").split()[1] == "1", "it")
                breaks.do("reset" if breaks is client else "close", name="c")
                hears.attempt("receive", name="c")
                hears.do("close", name="c")
        mine, theirs = rf"tt-client\[{client.pid}\]", rf"tt-server\[{server.pid}\]"
        for row in (
            rf"RST received +peer +{mine} +\S+ +{refused + unread} ",
            rf"RST received +peer +{theirs} +\S+ +{reset} ",
            rf"RST sent +linger0 +{mine} +\S+ +{reset} ",
            rf"RST sent +app_close_unread +{theirs} +\S+ +{unread} ",
            rf"RST sent +no_socket +- +\S+ +{refused} ",
            rf"error +ECONNREFUSED +{mine} +\S+ +{refused} ",
            rf"error +ECONNRESET +{mine} +\S+ +{unread} ",
            rf"error +ECONNRESET +{theirs} +\S+ +{reset} ",
        ):
            shown.wait_for(r"(?m)^" + row, "the row")
        assert ns.counters()["TcpOutRsts"] == refused + reset + unread
        _end(shown)
