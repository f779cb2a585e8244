"""A finding: what is wrong, by which numbers, what it means, what helps and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, field

INFO, WARN, CRIT = "info", "warn", "crit"
SEVERITIES = (INFO, WARN, CRIT)  # in rising order
Number = int | float | str | None


@dataclass(frozen=True)
class Finding:
    """One trouble of one process, listener or destination.

    `where` is what it is about, as people name it; `numbers` are the evidence for scripts, `shown`
    the same in words. Each line of `fix` stands alone: a command, a line of code or of a
    configuration; `risk` is what they cost and where a restart is needed. `see`: commands that show
    more.
    """

    id: str
    severity: str
    where: str
    title: str
    shown: str
    meaning: str
    fix: tuple[str, ...]
    risk: str
    see: tuple[str, ...]
    numbers: dict[str, Number] = field(default_factory=dict)
    pid: int | None = None
    comm: str | None = None
    netns: int | None = None


def is_at_least(severity: str, least: str) -> bool:
    """Whether it is as bad as that, or worse."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)
