"""Packets that rules of this host's own packet filter refused: nftables, or iptables."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.advice.evidence import Evidence
from tracer.advice.filtered import Filtered, Refusing
from tracer.advice.finding import INFO, WARN, Finding, Number

FEW = 10  # of sockets here; a packet that is late for its connection is often refused
SHOWN = 3


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each namespace where a rule refused something."""
    return [found for one in evidence.filtered if (found := _judge(one, evidence))]


def uncounted(one: Filtered) -> list[Refusing]:
    """Rules of which nobody can say how much they refused."""
    return [rule for rule in one.rules if rule.grown is None]


def _judge(one: Filtered, evidence: Evidence) -> Finding | None:
    grown = sorted((rule for rule in one.rules if rule.grown), key=lambda rule: -(rule.grown or 0))
    if not grown and not one.seen:
        return None
    counted, silent = sum(rule.grown or 0 for rule in grown), uncounted(one)
    numbers: dict[str, Number] = {
        "refused_packets": counted,
        "refusing_rules": len(grown),
        "uncounted_rules": len(silent),
        "dropped_by_netfilter": one.seen,
        "dropped_of_sockets": one.owned,
        "refused_most_by": grown[0].rule if grown else None,
    }
    count = f"{counted} packets" if counted else f"{one.seen} packets of TCP"
    return Finding(
        "packet-filter",
        WARN if one.owned >= FEW else INFO,
        one.name,
        f"{count} refused by this host's packet filter {evidence.span}",
        "; ".join((*_counted(grown), _seen(one), *_silent(silent))),
        _meaning(one),
        _fix(grown, silent),
        "what the rule kept out comes in; holds at once, with no restart, until the rules are"
        " loaded anew",
        (
            "tcptrace drops -d 10 --packets --by reason,lport,peer",
            "tcptrace explain NETFILTER_DROP",
        ),
        numbers,
        netns=one.netns,
    )


def _counted(grown: Sequence[Refusing]) -> list[str]:
    told = [f"rule `{one.rule}` in {one.place}: +{one.grown} packets" for one in grown[:SHOWN]]
    if more := grown[SHOWN:]:
        told.append(f"{len(more)} more rules: +{sum(one.grown or 0 for one in more)} packets")
    return told


def _seen(one: Filtered) -> str:
    if one.seen is None:
        return "what netfilter dropped was not looked at"
    told = f"{one.seen} packets of TCP were dropped by netfilter here"
    if one.places:
        told += f" (by {', '.join(f'{place} {count}' for place, count in one.places[:SHOWN])})"
    return told + f", {one.owned} of them known to be of a socket of this host"


def _silent(silent: Sequence[Refusing]) -> list[str]:
    if not silent:
        return []
    names = ", ".join(f"`{one.rule}` in {one.place}" for one in silent[:SHOWN])
    return [f"without a counter of what they refuse: {len(silent)}, such as {names}"]


def _meaning(one: Filtered) -> str:
    if one.owned:
        return (
            "connections of this host's own are among them: what is sent is lost, or its answer;"
            " they wait, send again, and end with ETIMEDOUT"
        )
    if one.seen:
        return (
            "none is known to be of a connection of this host: such rules are there to keep out"
            " what comes from elsewhere; who was meant to come in waits until ETIMEDOUT, or is"
            " refused at once"
        )
    return "they were of other protocols than TCP, or nobody saw whose they were"


def _fix(grown: Sequence[Refusing], silent: Sequence[Refusing]) -> tuple[str, ...]:
    lines = [f"the whole rule: {one.shows}" for one in (*grown[:1], *silent[:1])]
    lines.append(
        "if they are wanted: a rule before it that accepts them (nft insert rule, iptables -I),"
        " and in the file that sets the rules up"
    )
    if silent:
        lines.append("`counter` right before its verdict has a rule tell how much it refuses")
    return tuple(dict.fromkeys(lines))
