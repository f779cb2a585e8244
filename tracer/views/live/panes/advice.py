"""Pane 8: what is wrong, by which numbers, what helps and what that costs: the worst first."""

from __future__ import annotations

from tracer.advice.finding import INFO, SEVERITIES, Finding
from tracer.views import finding_lines
from tracer.views.live.advising import ADVICE
from tracer.views.live.panes.base import Column, Listed, Name, Pane, Table
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading
from tracer.views.text import duration

LEAST = 20  # columns, of a line that is worth reading
COLUMNS: tuple[Column[Finding], ...] = (
    Column(
        Heading("SEVERITY", words=True),
        lambda one: one.severity + ("" if one.severity == INFO else " !"),
        lambda one: SEVERITIES.index(one.severity),
    ),
    Column(Heading("RULE", words=True), lambda one: one.id, lambda one: one.id),
    Column(Heading("ABOUT", words=True), lambda one: one.where, lambda one: one.where),
    Column(Heading("FINDING", words=True, spare=1), lambda one: one.title, lambda one: one.title),
)


def key(one: Finding) -> str:
    """What it is known by from picture to picture: its numbers change."""
    return f"{one.id} {one.where} {one.netns}"


def _table(picture: Picture) -> Table:
    advice = picture.parts.advice
    return Listed(
        COLUMNS,
        list({key(one): (key(one), one) for one in advice.findings}.values()) if advice else [],
        is_wrong=lambda one: one.severity != INFO,
        term=lambda one: one.id,
    )


def find(picture: Picture, name: Name | None) -> Finding | None:
    """The finding of that row, else the first."""
    findings = picture.parts.advice.findings if picture.parts.advice else ()
    first = findings[0] if findings else None
    return next((one for one in findings if key(one) == name), first)


def below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    """The finding that is selected, else the first; then what was looked at."""
    advice = picture.parts.advice
    if advice is None:
        return ["evidence is gathered from now on: the first words of it in two seconds"][:height]
    one, wide = find(picture, name), max(LEAST, width)
    found = finding_lines.lines(one, wide) if one else []
    looked = f"of the last {duration(advice.span_ns)}, of all processes"
    if advice.quiet:
        looked += f"; nothing wrong by: {', '.join(advice.quiet)}"
    if advice.blind:
        looked += f"; not looked at yet: {', '.join(advice.blind)}"
    looked += "".join(f"; not looked at: {text}" for text in advice.unseen)
    rest = finding_lines.wrapped("", looked, 0, wide)
    return [*found[: max(0, height - len(rest))], *rest][:height]


ADVICE_PANE = Pane(
    8,
    "Advice",
    [column.heading for column in COLUMNS],
    _table,
    ("connections", "syn_drop", ADVICE),
    below,
    order="severity",
    share=1 / 4,
)
