"""Attempts in words: the cells of a group, and sentences that say what its numbers mean."""

from __future__ import annotations

from collections import Counter
from errno import errorcode

from tracer.flows.drops import Counters
from tracer.flows.handshakes import Group
from tracer.flows.transitions import Spread
from tracer.views.columns import Facts
from tracer.views.text import duration, escape
from tracer.words.outcomes import OTHERS

WELL = "OK"
NO_ANSWER = ("TIMEOUT", "GAVE_UP", "SYN_ACK_TIMEOUT")
FIRST_RTO_NS = 1_000_000_000  # TCP_TIMEOUT_INIT, include/net/tcp.h
MANY = 0.01  # of all tries without an answer: worth a mark
ALIKE = 1.05  # spans that differ by less are told as one
# errors without an outcome of their own that are known to come from one thing
KNOWN_ERRORS = {"EINVAL": " (as a blackhole route answers)"}

# counters that the kernel may move further than there are records, and what the rest is
BEYOND = {
    "SyncookiesRecv": "the rest was good and made no connection, and nothing here counted it",
    "EmbryonicRsts": "the rest was reset in the SYN queue, and nothing here counted it",
    "PassiveOpens": "the rest were lost, or came by TCP_FASTOPEN and are not finished",
}
# what no attempt above tells of, though nothing is missing: one, and several
UNRECORDED = {
    "PassiveOpens": (
        "is a child made on two CPUs at once and thrown away on one,"
        " or ended before the handshake did",
        "are children made on two CPUs at once and thrown away on one,"
        " or ended before the handshake did",
    ),
    "EmbryonicRsts": (
        "is a half-open connection that was reset, and no attempt above",
        "are half-open connections that were reset, and no attempts above",
    ),
    "SyncookiesRecv": (
        "was good and made no connection, as the accept queue was full",
        "were good and made no connection, as the accept queue was full",
    ),
}
NO_ROOM = 0  # in place of a namespace


def unrecorded(counts: Counters) -> list[str]:
    """What of the kernel's counters no attempt tells of, a line each."""
    sums: Counter[str] = Counter()
    for netns, found in counts.items():
        if netns != NO_ROOM:
            sums.update(found)
    told = [
        f"of {name} {sums[name]} {words[sums[name] > 1]}"
        for name, words in UNRECORDED.items()
        if sums[name]
    ]
    rest = unplaced(counts)
    if rest:
        what = ", ".join(f"{count} of {name}" for name, count in rest)
        told.append(f"of more network namespaces than there is room for, not told above: {what}")
    return told


def unplaced(counts: Counters) -> list[tuple[str, int]]:
    """What found no room in its namespace: the kernel's counter, and how much of it."""
    rest = counts.get(NO_ROOM, {})
    told = {"unlooked": "EmbryonicRsts or SyncookiesRecv at most"}
    return [(told.get(name, name), count) for name, count in rest.items()]


def shown(key: object) -> str:
    """A key of a group as a cell."""
    return "-" if key is None else escape(str(key))


def sentences(found: list[tuple[tuple[object, ...], Group]], facts: Facts) -> list[str]:
    """What is to be said of each group, a line each, its name in front."""
    told = []
    for name, group in found:
        keys = [shown(key) for key in name]
        # the role is in most cases plain from the peer
        where = " ".join(keys[1:] or keys)
        active = keys[0] == "active"
        told += [f"{where}  {text}" for text in _about(group, active, facts)]
    return told


def _about(group: Group, active: bool, facts: Facts) -> list[str]:
    names = facts.layout.enums["outcome"]
    outcomes = group.outcomes()
    told = []
    if outcomes.get(names["GAVE_UP"]):
        told.append(_given_up(group.ended_as(names["GAVE_UP"]), group, facts))
    if outcomes.get(names["TIMEOUT"]):
        left = group.ended_as(names["TIMEOUT"])
        told.append(
            f"{left.ended} given up by the kernel after {_range(left.latency())}{_again(left)}"
        )
    if outcomes.get(names["SYN_ACK_TIMEOUT"]):
        left = group.ended_as(names["SYN_ACK_TIMEOUT"])
        told.append(
            f"{left.ended} had no answer to the SYN-ACK for {_range(left.latency())}"
            f"{_again(left, 'SYN-ACK')}"
        )
    slow = group.ended_as(names[WELL], again=1)
    if slow.ended:
        told.append(_slow(slow, group.ended_as(names[WELL]), active))
    older = group.ended_as(names[WELL]).latency()
    if older.at_least:
        told.append(
            f"{older.at_least} OK began before tracing and took up to"
            f" >={duration(older.most_at_least)}: not among the times"
        )
    if group.syncookies:
        told.append(
            f"{group.syncookies} finished by a SYN cookie, which keeps no time: no latency told"
        )
    for name, text in OTHERS.items():
        if outcomes.get(names[name]):
            told.append(f"{outcomes[names[name]]} {text}")
    told += _unnamed(group.ended_as(names["UNKNOWN"]))
    if group.pending:
        told.append(_pending(group))
    return told


def _unnamed(left: Group) -> list[str]:
    told = []
    for error, count in left.errors().items():
        name = errorcode.get(error, str(error))
        with_it = f"failed with {name}{KNOWN_ERRORS.get(name, '')}" if error else "ended unseen"
        told.append(f"{count} {with_it}")
    return told


def _pending(group: Group) -> str:
    age = "-"
    if group.oldest_ns:
        age = ("" if group.oldest_is_exact else ">=") + duration(group.oldest_ns)
    return f"now waiting: {group.pending}, oldest {age}"


def _given_up(left: Group, group: Group, facts: Facts) -> str:
    processes = [facts.process(*who) for who in left.processes()]
    commands = dict.fromkeys(escape(process.comm) for process in processes if process)
    who = " and ".join(list(commands)[:3]) or "the application"
    many = f"all {left.ended}" if 1 < left.ended == group.ended else str(left.ended)
    silent = facts.layout.enums["outcome"]["TIMEOUT"] not in group.outcomes()
    kernel = ", none by the kernel" if silent else ""
    return f"{many} given up by {who} after {_range(left.latency())}{_again(left)}{kernel}"


def _range(latency: Spread) -> str:
    longest = latency.most_at_least
    if longest > latency.most:
        return (
            f">={duration(longest)}"
            if not latency.count
            else (f"{duration(latency.least)} to >={duration(longest)}")
        )
    if not latency.count:
        return "-"
    if latency.most <= latency.least * ALIKE:
        return duration(latency.most)
    return f"{duration(latency.least)} to {duration(latency.most)}"


def _times(group: Group, what: str = "SYN") -> str:
    least, most = group.again_range()
    many = str(least) if least == most else f"{least} to {most}"
    return f"{many} {what}{'' if most == 1 else 's'}"


def _again(group: Group, what: str = "SYN") -> str:
    if not group.again:
        return ""
    return f" ({_times(group, what)} {'each ' if group.ended > 1 else ''}sent again)"


def _slow(slow: Group, well: Group, active: bool) -> str:
    """A handshake that waited for a packet to be sent again says nothing about the distance."""
    what = "SYN" if active else "SYN-ACK"
    slowest = slow.slowest()
    rtt = slowest.rtt()
    rest = f" + {duration(rtt.most)}" if rtt.count else ""
    text = (
        f"slow ones are loss, not distance: {slow.ended} of {well.ended} had"
        f" {_times(slow, what)} sent again; the slowest: {_times(slowest, what)} sent again{rest}"
    )
    tail = well.sent_once().latency().quantile(0.99)
    return text if tail is None else f"{text}; p99 of the rest {duration(tail)}"
