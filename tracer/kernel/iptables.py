"""Rules of the older iptables that throw packets away, from what `iptables-save -c` says."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress

from tracer.kernel.nftables import LONGEST, Row

REFUSALS = ("DROP", "REJECT")
_POLICY = re.compile(r":(\S+) DROP \[(\d+):\d+\]")
_RULE = re.compile(r"\[(\d+):\d+\] -A (\S+) (.*)")


def parse(text: str, by: str) -> list[Row]:
    """A row for each rule, and each policy, that drops or rejects; `by` is iptables or ip6tables.

    All have counters.
    """
    rows, table = [], ""
    for line in text.splitlines():
        policy, rule = _POLICY.fullmatch(line), _RULE.fullmatch(line)
        if line.startswith("*"):
            table = line[1:]
        elif policy:
            rows.append(_row(by, table, policy[1], "policy DROP", int(policy[2])))
        elif rule and _target(rule[3]) in REFUSALS:
            rows.append(_row(by, table, rule[2], rule[3], int(rule[1])))
    return rows


def _row(by: str, table: str, chain: str, text: str, packets: int) -> Row:
    return {
        "by": by,
        "table": table,
        "chain": chain,
        "text": text[:LONGEST],
        "handle": None,
        "packets": packets,
    }


def _target(rule: str) -> str | None:
    """What follows `-j`, which may stand in a comment too."""
    with suppress(ValueError):  # a quote that does not end
        words = iter(shlex.split(rule))
        for word in words:
            if word == "--comment":
                next(words, None)
            elif word == "-j":
                return next(words, None)
    return None
