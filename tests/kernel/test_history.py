"""The history of one connection, opened on the screen, has all that happened to it, in order.

Its peer is made of packets, so that each of them is known: what is lost, what is never
acknowledged, and the RST that ends it. The witnesses are the application and the kernel's counters.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import Namespace, wait_until
from tests.programs.crafted import ACK, RST, Host, Talk
from tests.programs.driver import Program
from tests.programs.places import PORT, SILENT
from tests.programs.screen import Screen, screen
from tests.schemas import checked

pytestmark = [pytest.mark.kernel, pytest.mark.timers]
SIZE = (150, 60)
BEYOND, DATA, ANSWER = 3, b"x" * 10, 17  # segments outside the window, bytes each way


@pytest.mark.parametrize("older", [False, True], ids=["from-its-begin", "older-than-the-tracer"])
def test_the_history_of_a_connection_has_its_drops_retransmits_rst_and_error_in_order(
    ns: Namespace, server: Program, tmp_path: Path, older: bool
) -> None:
    ns.run("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0")  # timeouts alone
    server.do("listen", name="l")
    with Host(ns) as host:
        talk = _open(host, server) if older else None
        with screen(tmp_path, SIZE, "--netns", ns.name) as shown:
            shown.wait_for(r"NOW ", "the first picture")
            talk = talk or _open(host, server)
            _open_history(shown)
            _go_wrong(ns, host, server, talk)
            shown.wait_for(r"(?m)^closed$", "its end")
            text = shown.wait_for(r"(?s)\A.*error: ECONNRESET in ESTABLISHED.*\Z", "the error")[0]
            shown.press("J")
            where = shown.wait_for(r"wrote (\S+\.jsonl) in (\S+)", "the file").groups()[::-1]
            records = checked(Path(*where).read_text().splitlines())
            Path(*where).unlink()
            shown.press("q")
            assert shown.exit_status() == 0
    again = ns.counters()["TcpRetransSegs"]
    steps = [
        *([] if older else ["LISTEN -> SYN_RECV", "SYN_RECV -> ESTABLISHED", r"accept\(\) waited"]),
        *[r"packet dropped: TCP_INVALID_SEQUENCE at tcp_\w+"] * BEYOND,
        *[r"sent again: rto \S+, \w+, "] * again,
        r"RST received  in ESTABLISHED  ECONNRESET",
        r"ESTABLISHED -> CLOSE ",
        r"ended: peer RST",
        r"error: ECONNRESET in ESTABLISHED",
    ]
    at = 0
    for step in steps:
        found = re.compile(step).search(text, at)
        assert found, f"{step}\n{text}"
        at = found.end()
    begin = "not complete: older than the tracer" if older else "complete: seen from its begin"
    assert begin in text
    assert re.search(r"Its dropped packets are among them since \d\d:", " ".join(text.split()))
    kinds = [record["kind"] for record in records]
    assert kinds.count("drop") == BEYOND
    assert kinds.count("retransmit") == again >= 2
    assert [kinds.count(kind) for kind in ("reset", "connection", "error")] == [1, 1, 1]
    assert len({record["cookie"] for record in records}) == 1
    assert {r["pid"] for r in records if r["kind"] in ("drop", "retransmit", "error")} == {
        server.pid
    }
    (end,) = [record for record in records if record["kind"] == "connection"]
    assert (end["rx_bytes"], end["end"], end["errno"]) == (len(DATA), "rst_received", "ECONNRESET")
    assert end["retransmits"] == again


def _open(host: Host, server: Program) -> Talk:
    talk = host.open()
    server.do("accept", name="s", listener="l")
    return talk


def _open_history(shown: Screen) -> None:
    shown.press("2")
    shown.wait_for(
        rf"(?m)^tt-server.* {re.escape(SILENT)}:30000 .*ESTABLISHED", "the connection's row"
    )
    shown.press("Down")
    shown.press("Enter")
    shown.wait_for(r"Its dropped packets are among them since", "its history, drops too")


def _go_wrong(ns: Namespace, host: Host, server: Program, talk: Talk) -> None:
    """Segments that are dropped, data that is not acknowledged, and a RST."""
    host.say(talk, DATA)
    server.do("receive", name="s", count=len(DATA))
    talk.sequence += len(DATA)
    for _ in range(BEYOND):
        host.say(talk, DATA, ahead=100_000_000)
    server.do("send", name="s", count=ANSWER)
    wait_until(lambda: ns.counters()["TcpRetransSegs"] >= 2, "it to be sent again")
    host.send(RST | ACK, talk.port, PORT, talk.sequence, talk.acked)
    assert server.do("error", name="s")["error"] == "ECONNRESET"
    assert ns.counters()["TcpEstabResets"] == 1
