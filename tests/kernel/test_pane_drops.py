"""What pane 5 shows of packets that died is what was sent, the firewall and the kernel counted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Namespace, wait_until
from tests.kernel.test_drops import SHUT, accepted, listening, refuse_all, rules
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SILENT, build
from tests.programs.screen import Screen, screen

pytestmark = pytest.mark.kernel
SIZE = (140, 50)
OTHER = "10.99.0.3"  # ours as well


@pytest.fixture
def shown(ns: Namespace, tmp_path: Path) -> Iterator[Screen]:
    """The pane, open, and nothing has been dropped yet."""
    with screen(tmp_path, SIZE, "--netns", ns.name) as made:
        made.wait_for(r"off: syn_drop drop", "the first picture")
        made.press("5")
        made.wait_for(way(), "the pane's probes")
        yield made
        made.press("q")
        assert made.exit_status() == 0


def way(**lost: int) -> str:
    """The line of all stages, once nothing comes any more."""
    stages = ("device", "qdisc", "ip", "netfilter", "tcp", "socket", "application")
    return "(?m)^" + " > ".join(f"{stage} {lost.get(stage, 0)}" for stage in stages) + "$"


def row(where: str, reason: str, count: int, owner: str = "-") -> str:
    return rf"(?m)^{where} +{reason} +\S+ +\S+ +{owner} +\S+ +\S+ +{count} "


def test_each_stage_of_the_way_has_what_died_there_and_no_other(
    ns: Namespace, server: Program, shown: Screen
) -> None:
    invalid, refused, shut, damaged = 5, 11, 13, 7
    counted = rules(ns, "input", f"tcp dport {PORT + 1}")
    server.do("listen", name="l")
    with Host(ns) as host:
        for i in range(invalid):
            host.send(SYN, 20000 + i, source="224.0.0.9")
        for i in range(refused):
            host.send(SYN, 20000 + i, PORT + 1)
        for i in range(shut):
            host.send(SYN, 20000 + i, SHUT + i % 3)
        for i in range(damaged):
            host.send(SYN, 20000 + i, good=False)
        me, tcp = rf"tt-server\[{server.pid}\]", shut + damaged
        shown.wait_for(way(ip=invalid, netfilter=refused, tcp=tcp), "all of it")
        text = shown.text()  # the host throws away what it has heard as it ends
    for found in (
        row("ip", "IP_INVALID_SOURCE", invalid, me) + r"224\.0\.0\.9",
        row("netfilter", "NETFILTER_DROP", refused) + SILENT,
        row("tcp", "NO_SOCKET", shut) + SILENT,
        row("tcp", "TCP_CSUM", damaged, me) + SILENT,
        rf"(?m)^{invalid + refused + tcp} lost in \S+; 0 expected ones hidden",
    ):
        assert re.search(found, text), f"{found}\n{text}"
    stages = [
        line.split()[0] for line in text.splitlines() if re.match(r"(ip|netfilter|tcp) ", line)
    ]
    assert stages == ["ip", "netfilter", "tcp", "tcp"]
    end = ns.counters()
    assert counted() == refused
    assert (end["TcpOutRsts"], end["TcpInCsumErrors"]) == (shut, damaged)


def test_what_nothing_is_lost_with_is_hidden_counted_and_shown_by_a_key(
    ns: Namespace, shown: Screen
) -> None:
    again, data = 5, b"x" * 10
    with listening(ns) as listener, Host(ns) as host:
        made, talk = accepted(listener, host)
        with made:
            host.say(talk, data)
            assert made.recv(100) == data
            for _ in range(again):
                host.say(talk, data)
            wait_until(lambda: ns.counters()["TcpExtDelayedACKLost"] >= again, "old segments")
            said = rf"(?m)^0 lost in \S+; {again} expected ones "
            shown.wait_for(said + r"hidden: nothing is lost with them \(A shows\)", "how many")
            shown.wait_for(r"by path  0-0 of 0 ", "no row")
            shown.press("A")
            shown.wait_for(said + r"shown too \(A hides\)", "them to be shown")
            old = row("tcp", r"TCP_OLD_\w+", again, rf"\S+\[{os.getpid()}\]")
            assert re.search(old, shown.text()), shown.text()
            assert re.search(way(), shown.text())
            shown.press("A")
            shown.wait_for(r"by path  0-0 of 0 ", "them to be hidden again")


def test_the_ends_of_the_way_are_the_device_and_the_application(
    ns: Namespace, server: Program, client: Program, shown: Screen
) -> None:
    unknown, filtered, unread = 17, 11, 3
    server.do("listen", name="l")
    ns.run("ip", "addr", "add", f"{OTHER}/24", "dev", "near")
    with listening(ns, OTHER) as other:
        refuse_all(other)
        with Host(ns) as host:
            for _ in range(unknown):
                host.send_unknown()  # of a protocol that nobody here takes
            for i in range(filtered):
                host.send(SYN, 20000 + i, target=OTHER)
        for _ in range(unread):
            client.do("connect", name="c", address=NEAR, port=PORT)
            server.do("accept", name="c", listener="l")
            client.do("send", name="c", count=1)
            wait_until(lambda: ns.run("ss", "-tnH", f"sport = :{PORT}").split()[1] == "1", "it")
            server.do("close", name="c")
            client.attempt("receive", name="c")
            client.do("close", name="c")
        shown.wait_for(way(socket=filtered, application=unread), "both ends")
    text = shown.text()
    there = int(ns.run("cat", "/sys/class/net/near/statistics/rx_dropped"))
    assert there >= unknown
    me = rf"tt-server\[{server.pid}\]"
    for found in (
        rf"(?m)^before +rx_dropped +device +near +- +- +\S+ +{there} ",
        rf"(?m)^before a packet: {there} on \d+ devices, softnet dropped 0,",
        row("socket", "SOCKET_FILTER", filtered, rf"\S+\[{os.getpid()}\]"),
        row("application", "unread", unread, me),
    ):
        assert re.search(found, text), f"{found}\n{text}"
    assert ns.counters()["TcpExtTCPAbortOnClose"] == unread


def test_a_flood_is_counted_to_the_last_packet(ns: Namespace, shown: Screen) -> None:
    count = 200_003
    ns.run(str(build("bad")), SILENT, NEAR, str(SHUT), str(count))
    shown.wait_for(way(tcp=count), "all of them")
    assert ns.counters()["TcpInCsumErrors"] == count


def test_a_filter_leaves_what_it_would_of_the_packets_too(
    ns: Namespace, server: Program, shown: Screen
) -> None:
    shut, damaged = 13, 7
    server.do("listen", name="l")
    with Host(ns) as host:
        host.send(SYN, 19999, SHUT)
        shown.wait_for(way(tcp=1), "the first")
        shown.type("f", f"lport={PORT}")
        shown.wait_for(r"SHOWN +--lport", "the header")
        for i in range(shut):
            host.send(SYN, 20000 + i, SHUT)
        for i in range(damaged):
            host.send(SYN, 20000 + i, good=False)
        shown.wait_for(way(tcp=damaged), "those of the port alone")
        assert "NO_SOCKET" not in shown.text()
        shown.press("Escape")
        shown.wait_for(way(tcp=1 + shut + damaged), "all again")
