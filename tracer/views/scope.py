"""The first line of a table: what was looked at, where, for how long, by which probe."""

from __future__ import annotations

from tracer.views.columns import Facts
from tracer.views.text import duration, escape


def scope(
    command: str, subject: str, head: dict[str, object], facts: Facts, now_ns: int, span_ns: int
) -> str:
    """`states  web-03  6.1.0  all netns  30.0s to 2026-07-01 03:12:41 CEST  probes: tp_btf`."""
    filters = " ".join(dict(head["filters"]).values())  # type: ignore[call-overload]
    spaces = f"{len(head['netns'])} netns" if head["netns"] else "all netns"  # type: ignore[arg-type]
    where = escape(f"{head['host']}  {head['kernel']}  {filters or spaces}")
    probes = dict(head["attached"])[subject]  # type: ignore[call-overload]
    until = facts.clock.date(now_ns)
    return f"{command}  {where}  {duration(span_ns)} to {until}  probes: {probes}"
