"""Rules of packet filters: which of them refuse, by which counter, and what a finding says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracer.advice import packet_filter
from tracer.advice.evidence import Evidence, Filtered, Refusing
from tracer.advice.finding import INFO, WARN, Finding
from tracer.advice.rules import RULES, judge
from tracer.attribution.processes import ProcessTable
from tracer.flows.packet_filters import PacketFilters, Rule
from tracer.kernel import iptables, nftables, packet_filters
from tracer.views.advise_filters import Filters
from tracer.views.columns import Facts
from tracer.views.text import Clock
from tracer.wire.layout import Layout

TO_PORT = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "tcp", "field": "dport"}},
        "right": 8080,
    }
}
COUNTER = {"counter": {"packets": 37, "bytes": 2220}}
DROP = {"drop": None}
Expr = list[dict[str, Any]]


def rows(*exprs: Expr, others: tuple[dict[str, Any], ...] = ()) -> list[nftables.Row]:
    place = {"family": "inet", "table": "filter"}
    said: list[dict[str, Any]] = [
        {"metainfo": {"version": "1.0.9", "json_schema_version": 1}},
        {"table": {"family": "inet", "name": "filter", "handle": 1}},
        {"chain": place | {"name": "input", "handle": 2, "hook": "input", "policy": "accept"}},
        *others,
    ]
    for i, expr in enumerate(exprs):
        said.append({"rule": place | {"chain": "input", "handle": 5 + i, "expr": expr}})
    return nftables.parse(json.dumps({"nftables": said}))


# --- what nft says ------------------------------------------------------------------


def test_a_rule_that_drops_is_read_with_its_counter_and_as_nft_writes_it() -> None:
    (one,) = rows([TO_PORT, COUNTER, DROP], [TO_PORT, COUNTER, {"accept": None}])
    assert one == {
        "by": "nftables",
        "table": "inet filter",
        "chain": "input",
        "text": "tcp dport 8080 drop",
        "handle": 5,
        "packets": 37,
    }


REJECT = {"reject": {"type": "tcp reset"}}
OF_IPTABLES = {"xt": {"type": "target", "name": "REJECT"}}
LIMIT = {"limit": {"rate": 10, "burst": 5, "per": "second"}}
LOG = {"log": {"prefix": "gone: "}}


@pytest.mark.parametrize(
    ("expr", "text", "packets"),
    [
        ([TO_PORT, COUNTER, REJECT], "tcp dport 8080 reject with tcp reset", 37),
        ([COUNTER, {"reject": None}], "reject", 37),
        ([TO_PORT, COUNTER, OF_IPTABLES], "tcp dport 8080 xt target REJECT", 37),
        ([TO_PORT, COUNTER, LOG, DROP], 'tcp dport 8080 log {"prefix": "gone: "} drop', 37),
        # what is asked after the counter is asked of what has been counted
        ([COUNTER, TO_PORT, DROP], "tcp dport 8080 drop", None),
        ([TO_PORT, COUNTER, LIMIT, DROP], "tcp dport 8080 limit rate 10/second drop", None),
        ([TO_PORT, DROP], "tcp dport 8080 drop", None),
        ([DROP], "drop", None),
    ],
)
def test_a_counter_counts_what_a_rule_refuses_if_nothing_is_asked_after_it(
    expr: Expr, text: str, packets: int | None
) -> None:
    (one,) = rows(expr)
    assert (one["text"], one["packets"]) == (text, packets)


def verdicts(verdict: str) -> dict[str, Any]:
    key = TO_PORT["match"]["left"]
    return {"vmap": {"key": key, "data": {"set": [[22, {"accept": None}], [80, {verdict: None}]]}}}


def test_a_verdict_map_that_refuses_some_is_a_rule_without_a_counter_of_that() -> None:
    (one,) = rows([COUNTER, verdicts("drop")], [COUNTER, verdicts("accept")])
    assert (one["text"], one["packets"]) == ("tcp dport vmap { 22 : accept, 80 : drop }", None)
    place = {"family": "inet", "table": "filter", "type": "inet_service", "map": "verdict"}
    named = {"map": place | {"name": "ports", "handle": 3, "elem": [[80, {"drop": None}]]}}
    calls = {"vmap": {"key": TO_PORT["match"]["left"], "data": "@ports"}}
    assert [one["text"] for one in rows([calls], others=(named,))] == ["tcp dport vmap @ports"]
    assert rows([calls]) == []


def test_a_named_counter_says_something_of_the_one_rule_that_has_it() -> None:
    named = {"counter": {"family": "inet", "table": "filter", "name": "c", "packets": 11}}
    expr: Expr = [TO_PORT, {"counter": "c"}, DROP]
    assert [one["packets"] for one in rows(expr, others=(named,))] == [11]
    passes: Expr = [{"counter": "c"}, {"accept": None}]
    shared = rows(expr, passes, others=(named,))
    assert [one["packets"] for one in shared] == [None]


def test_a_policy_that_drops_is_told_and_has_no_counter() -> None:
    chain = {"family": "ip", "table": "t", "name": "in", "hook": "input", "policy": "drop"}
    (one,) = rows(others=({"chain": chain},))
    assert (one["table"], one["chain"], one["text"]) == ("ip t", "in", "policy drop")
    assert one["packets"] is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"prefix": {"addr": "10.0.0.0", "len": 8}}, "10.0.0.0/8"),
        ({"set": [80, {"range": [8000, 8009]}]}, "{ 80, 8000-8009 }"),
        (
            {"concat": [{"meta": {"key": "iifname"}}, {"ct": {"key": "state"}}]},
            "iifname . ct state",
        ),
        ({"&": [{"meta": {"key": "l4proto"}}, 7]}, "meta l4proto & 7"),
        ({"elem": {"val": 80, "timeout": 3}}, "80"),
        ({"later": {"thing": 1}}, '{"later": {"thing": 1}}'),
        (["new", "invalid"], "new, invalid"),
    ],
)
def test_expressions_are_written_as_nft_does_or_else_as_they_are_told(said: Any, text: str) -> None:
    assert nftables._value(said) == text


# --- what iptables says -------------------------------------------------------------

SAVED = """\
# Generated by iptables-save v1.8.9 on Mon Nov 30 16:25:00 2026
*filter
:INPUT ACCEPT [500:40000]
:FORWARD DROP [12:720]
:mine - [0:0]
[37:2220] -A INPUT -p tcp -m tcp --dport 8080 -j DROP
[5:300] -A INPUT -m comment --comment "-j DROP" -j ACCEPT
[6:360] -A INPUT -m comment --comment -j -j ACCEPT
[7:420] -A mine -p tcp -j REJECT --reject-with tcp-reset
[8:480] -A INPUT -j mine
COMMIT
"""


def test_rules_of_the_older_iptables_are_read_with_their_counters() -> None:
    found = iptables.parse(SAVED, "iptables")
    assert [(one["chain"], one["text"], one["packets"]) for one in found] == [
        ("FORWARD", "policy DROP", 12),
        ("INPUT", "-p tcp -m tcp --dport 8080 -j DROP", 37),
        ("mine", "-p tcp -j REJECT --reject-with tcp-reset", 7),
    ]
    assert {(one["by"], one["table"]) for one in found} == {("iptables", "filter")}


# --- what cannot be asked -----------------------------------------------------------


def test_rules_that_nobody_here_can_list_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_may_be_there", "_has_tables"):
        monkeypatch.setattr(packet_filters, name, lambda: True)
    monkeypatch.setattr("shutil.which", lambda *given, **more: None)
    found, unseen = packet_filters._read_here()
    assert found == []
    assert unseen[0] == "there are rules of nft, which is not installed"


def test_a_tool_that_fails_or_says_what_is_not_understood_is_told_of(tmp_path: Path) -> None:
    for name, text in (
        ("fails", "echo it may not >&2; exit 1"),
        ("lies", "echo []"),
        ("is_new", 'echo \'{"nftables": [{"rule": {"expr": 1}}]}\''),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o700)
    unseen: list[str] = []
    for name in ("fails", "lies", "is_new"):
        packet_filters._ask("nft", str(tmp_path / name), [], [], unseen)
    not_known = "what nft says is not understood"
    assert unseen == ["nft failed: it may not", not_known, not_known]


# --- over a span --------------------------------------------------------------------

RULE = Rule(7, "nftables", "inet filter", "input", "tcp dport 8080 drop", 5)


def stood(**packets: int | None) -> PacketFilters:
    texts = {"one": RULE, "other": RULE._replace(handle=6)}
    return PacketFilters({texts[name]: count for name, count in packets.items()})


def test_a_rule_that_is_new_or_was_set_to_0_has_refused_all_that_it_counts() -> None:
    assert stood(one=40, other=9).since(stood(one=3)) == stood(one=37, other=9).packets
    assert stood(one=5).since(stood(one=30)) == stood(one=5).packets
    assert stood(one=None).since(stood(one=None)) == stood(one=None).packets


def test_equal_rules_are_told_apart_and_namespaces_are_chosen() -> None:
    row = RULE._asdict() | {"packets": 3, "handle": None}
    found = {"rules": {"7": [row, row | {"packets": 4}], "8": [row]}, "unseen": {"8": ["why"]}}
    every = PacketFilters.of(json.loads(json.dumps(found)))
    assert sorted((one.netns, one.nth, count) for one, count in every.packets.items()) == [
        (7, 0, 3),
        (7, 1, 4),
        (8, 0, 3),
    ]
    assert every.unseen == {8: ("why",)}
    only = PacketFilters.of(found, [7])
    assert ({one.netns for one in only.packets}, only.unseen) == ({7}, {})


def test_names_that_somebody_chose_are_made_safe_to_show_and_to_type(wire: Layout) -> None:
    filters = Filters(Facts(wire, ProcessTable(0, 0), Clock(0, True)))
    evil = RULE._replace(table="inet a\x1b[2J", chain="; reboot", text="iifname \x1b[1m drop")
    for count in (0, 5):
        filters.add(PacketFilters({evil: count}, {7: ("nft failed: \x1b[2J",)}))
    (one,) = filters.told()
    (rule,) = one.rules
    assert rule.grown == 5
    texts = (rule.rule, rule.place, rule.shows, *filters.unseen())
    assert all(text.isprintable() for text in texts)
    assert rule.shows == r"nft -a list chain inet 'a\x1b[2J' '; reboot'"


def test_packets_dropped_by_netfilter_are_told_by_place_and_by_whether_they_had_a_socket(
    wire: Layout,
) -> None:
    facts = Facts(wire, ProcessTable(0, 0), Clock(0, True))
    facts.reasons |= {5: "NETFILTER_DROP", 6: "TCP_CSUM"}
    facts.code |= {0x10: "nft_do_chain+0x4a", 0x20: "nf_hook_slow+0x9c"}
    pair = np.dtype([("key", wire.dtypes["packet_key"]), ("value", wire.dtypes["packet_value"])])
    pairs = np.zeros(3, pair)
    pairs["key"]["matched"], pairs["key"]["netns"] = 1, 7
    pairs["key"]["reason"] = [5, 5, 6]
    pairs["key"]["location"] = [0x10, 0x20, 0]
    pairs["key"]["owner_from"] = [wire.enums["owner_from"]["SOCKET"], 0, 0]
    pairs["value"]["packets"] = [11, 3, 2]
    filters, later = Filters(facts), Filters(facts)
    assert filters.has == set()
    filters.packets(pairs, np.zeros(0, np.uint64))
    later.begin_at(filters)
    later.packets(pairs, np.zeros(0, np.uint64))
    assert filters.told() == (
        Filtered(
            7,
            "network namespace 7",
            seen=14,
            owned=11,
            places=(("nft_do_chain", 11), ("nf_hook_slow", 3)),
        ),
    )
    assert filters.others(7) == (("TCP_CSUM", 2),)
    assert (later.told(), later.others(7)) == ((), ())
    filters.packets_left()
    assert filters.has == set()


# --- the finding --------------------------------------------------------------------

PLACED = "nftables, table inet filter, chain input (handle 5)"
GREW = Refusing("tcp dport 8080 drop", PLACED, "s", 37)
WATCHED = Evidence(10.0, frozenset(rule.needs for rule in RULES), 10.0)
PLACE = Filtered(7, "network namespace 7", (GREW,), 37, 0, (("nft_do_chain", 37),))


def judged(one: Filtered) -> list[Finding]:
    return packet_filter.find(replace(WATCHED, filtered=(one,)))


def test_rules_that_refused_packets_are_told_with_the_drops_that_were_seen() -> None:
    (one,) = judged(PLACE)
    assert (one.severity, one.title) == (
        INFO,
        "37 packets refused by this host's packet filter in 10 s",
    )
    assert one.shown == (
        "rule `tcp dport 8080 drop` in nftables, table inet filter, chain input (handle 5): +37"
        " packets; 37 packets of TCP were dropped by netfilter here (by nft_do_chain 37), 0 of them"
        " known to be of a socket of this host"
    )
    assert one.fix[0] == "the whole rule: s"
    (one,) = judged(replace(PLACE, seen=None, places=()))
    assert "what netfilter dropped was not looked at" in one.shown


def test_it_is_an_alarm_only_where_packets_of_this_hosts_own_sockets_are_refused() -> None:
    assert [one.severity for one in judged(replace(PLACE, owned=9))] == [INFO]
    (one,) = judged(replace(PLACE, owned=10))
    assert (one.severity, "ETIMEDOUT" in one.meaning) == (WARN, True)


def test_rules_that_refused_nothing_are_no_finding() -> None:
    assert judged(replace(PLACE, rules=(replace(GREW, grown=0),), seen=0)) == []
    assert judged(replace(PLACE, rules=(replace(GREW, grown=None),), seen=0)) == []
    assert judged(replace(PLACE, rules=(), seen=None)) == []


def test_what_a_rule_without_a_counter_refuses_is_known_by_the_drops_alone() -> None:
    silent = replace(PLACE, rules=(replace(GREW, grown=None),))
    (one,) = judged(silent)
    assert one.title == "37 packets of TCP refused by this host's packet filter in 10 s"
    assert "without a counter of what they refuse: 1, such as `tcp dport 8080 drop`" in one.shown
    assert any("`counter` right before its verdict" in line for line in one.fix)
    advice = judge(replace(WATCHED, filtered=(silent,), unseen=("what nobody saw",)))
    assert advice.unseen == (
        "what nobody saw",
        "packet-filter in network namespace 7: rules that refuse and do not count, 1",
    )
