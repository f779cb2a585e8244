"""What packet filters refused, as their rule judges it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusing:
    """A rule that drops or rejects, or a chain's policy, safe to show; `shows`: what lists it.

    `grown`: packets by its counter over the span; None: no counter says.
    """

    rule: str
    place: str
    shows: str
    grown: int | None = None


@dataclass(frozen=True)
class Filtered:
    """A network namespace: what its rules refused, and what was seen dropped by netfilter.

    `seen` are packets of TCP, None where nobody looked; `owned`, of these, those of a socket that
    is known; `places`, the kernel's functions that dropped them.
    """

    netns: int
    name: str
    rules: tuple[Refusing, ...] = ()
    seen: int | None = None
    owned: int = 0
    places: tuple[tuple[str, int], ...] = ()
