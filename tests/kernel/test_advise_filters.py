"""`advise` of what a host's own packet filter refuses: by its counters, and by the drops seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness import Namespace, Record, Tracer
from tests.kernel.test_advise import findings
from tests.programs.advising import SPAN_S, advising, told
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.losing import DATA
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

EARLIER, REFUSED, PASSED = 5, 37, 20


def fence(ns: Namespace, *rules: str, hook: str = "input") -> None:
    """A chain with these rules, for what comes in, or goes out."""
    chain = f"{{ type filter hook {hook} priority 0; }}"
    ns.run("nft", "add", "table", "inet", "fence")
    ns.run("nft", "add", "chain", "inet", "fence", "gate", chain)
    for rule in rules:
        ns.run("nft", "add", "rule", "inet", "fence", "gate", *rule.split())


def counted(ns: Namespace) -> list[tuple[int, int | None]]:
    """Handle and packets of each rule, as nft tells them."""
    said = json.loads(ns.run("nft", "-j", "list", "chain", "inet", "fence", "gate"))["nftables"]
    rules = [one["rule"] for one in said if "rule" in one]
    return [(rule["handle"], _packets(rule["expr"])) for rule in rules]


def _packets(expr: list[Record]) -> int | None:
    return next((part["counter"]["packets"] for part in expr if "counter" in part), None)


def call(host: Host, count: int, first: int = 20000) -> None:
    for i in range(count):
        host.send(SYN, first + i)


@pytest.mark.parametrize("verdict", ["drop", "reject with tcp reset"])
def test_what_a_rule_refuses_is_told_by_its_counter_and_by_the_drops_seen(
    ns: Namespace, tmp_path: Path, verdict: str
) -> None:
    fence(ns, f"tcp dport {PORT} counter {verdict}")
    kept = str(tmp_path / "kept")
    with Host(ns) as host:
        call(host, EARLIER)
        with Tracer("advise", "--netns", ns.name, "-d", SPAN_S, "-w", kept) as tracer:
            call(host, REFUSED, 30000)
            (one,) = told(ns, tracer)
    ((handle, packets),) = counted(ns)
    assert packets == EARLIER + REFUSED
    assert (one["id"], one["severity"]) == ("packet-filter", "info")
    numbers = one["evidence"]
    assert numbers["refused_packets"] == numbers["dropped_by_netfilter"] == REFUSED
    assert (numbers["dropped_of_sockets"], numbers["uncounted_rules"]) == (0, 0)
    place = f"nftables, table inet fence, chain gate (handle {handle})"
    assert f"rule `tcp dport {PORT} {verdict}` in {place}: +{REFUSED} packets" in numbers["text"]
    assert f"nft_do_chain {REFUSED}" in numbers["text"]
    assert one["fix"][0] == "the whole rule: nft -a list chain inet fence gate"
    (again,) = findings("-r", kept)
    assert again["evidence"] == numbers


@pytest.mark.parametrize("command", ["iptables-legacy", "iptables-nft"])
@pytest.mark.parametrize("verdict", ["DROP", "REJECT --reject-with tcp-reset"])
def test_what_a_rule_of_either_iptables_refuses_is_told_likewise(
    ns: Namespace, command: str, verdict: str
) -> None:
    ns.run(command, "-A", "INPUT", *f"-p tcp --dport {PORT} -j {verdict}".split())
    with Host(ns) as host:
        call(host, EARLIER)
        with advising(ns) as tracer:
            call(host, REFUSED, 30000)
            (one,) = told(ns, tracer)
    (said,) = (line for line in ns.run(f"{command}-save", "-c").splitlines() if " -A " in line)
    assert said.startswith(f"[{EARLIER + REFUSED}:")
    numbers = one["evidence"]
    assert (one["id"], one["severity"]) == ("packet-filter", "info")
    assert numbers["refused_packets"] == numbers["dropped_by_netfilter"] == REFUSED
    assert (numbers["dropped_of_sockets"], numbers["uncounted_rules"]) == (0, 0)
    rule, place = {
        "iptables-legacy": (said.partition(" -A INPUT ")[2], "iptables, table filter, chain INPUT"),
        "iptables-nft": (f"tcp dport {PORT} ", "nftables, table ip filter, chain INPUT"),
    }[command]
    assert f"rule `{rule}" in numbers["text"]
    assert place in numbers["text"]
    assert f": +{REFUSED} packets" in numbers["text"]


def test_data_of_connections_that_a_rule_refuses_is_an_alarm(
    ns: Namespace, client: Program
) -> None:
    count = 11
    fence(ns, f"tcp dport {PORT} {DATA} counter drop", hook="output")
    with server_in(ns) as server:
        for i in range(count):
            client.do("connect", name=f"c{i}", address=ADDRESS, port=PORT)
            server.do("accept", name=f"s{i}", listener="l")
        with advising(ns) as tracer:
            for i in range(count):
                client.do("send", name=f"c{i}", count=100)
            for i in range(count):
                client.do("reset", name=f"c{i}")
            found = {one["id"]: one for one in told(ns, tracer)}
    one = found["packet-filter"]
    ((_, packets),) = counted(ns)
    assert one["severity"] == "warn"
    numbers = one["evidence"]
    assert numbers["refused_packets"] == numbers["dropped_by_netfilter"] == packets
    assert count <= numbers["dropped_of_sockets"] <= packets
    assert "ETIMEDOUT" in one["meaning"]


def test_what_a_rule_without_a_counter_refuses_is_known_by_the_drops_and_said_to_be_uncounted(
    ns: Namespace,
) -> None:
    fence(ns, f"tcp dport {PORT} drop")
    with Host(ns) as host, advising(ns) as tracer:
        call(host, REFUSED)
        (one,) = told(ns, tracer)
    numbers = one["evidence"]
    assert (one["id"], numbers["refused_packets"]) == ("packet-filter", 0)
    assert (numbers["uncounted_rules"], numbers["dropped_by_netfilter"]) == (1, REFUSED)
    assert "without a counter of what they refuse: 1, such as" in numbers["text"]
    where = f"packet-filter in network namespace {ns.inode}"
    assert f"not looked at: {where}: rules that refuse and do not count, 1" in tracer.stderr


def test_rules_that_let_traffic_pass_are_no_finding(ns: Namespace, client: Program) -> None:
    fence(
        ns,
        "ct state invalid counter drop",
        f"tcp dport {PORT} counter accept",
        f"tcp dport {PORT + 1} counter drop",
    )
    with server_in(ns) as server:
        server.tell("serve", listener="l")
        with advising(ns) as tracer:
            client.do("call", address=ADDRESS, port=PORT, count=PASSED)
            records: list[Record] = told(ns, tracer)
        server.stop()
    packets = [count for _, count in counted(ns)]
    assert packets[0] == packets[2] == 0 < PASSED < (packets[1] or 0)
    assert records == []
    quiet = tracer.stderr.partition("nothing wrong by: ")[2].partition(";")[0]
    assert "packet-filter" in quiet.split(", ")
