"""The first line of a table: what was looked at, where, for how long, by which probes."""

from __future__ import annotations

from tracer.views.columns import Facts
from tracer.views.text import duration, escape
from tracer.wire.head import Head


def scope(command: str, head: Head, facts: Facts, now_ns: int, span_ns: int, how: str) -> str:
    """`states  web-03  6.1.0  all netns  30.0s to 2026-07-01 03:12:41 CEST  probes: tp_btf`.

    `how`: what the numbers stand on.
    """
    filters = " ".join(head.filters.values())
    spaces = f"{len(head.netns)} netns" if head.netns else "all netns"
    where = escape(f"{head.host}  {head.kernel}  {filters or spaces}")
    return f"{command}  {where}  {duration(span_ns)} to {facts.clock.date(now_ns)}  {how}"


def probes(head: Head, *subjects: str) -> str:
    """`probes: tp_btf, raw_tp`: how these subjects are attached; none given: all."""
    attached = [head.attached[name] for name in subjects or head.attached]
    return "probes: " + ", ".join(dict.fromkeys(how for how in attached if how != "off"))
