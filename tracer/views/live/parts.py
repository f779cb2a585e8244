"""What single panes show of one moment, beside what all of the screen shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.flows.drops import Place

Key = tuple[int, int]  # tgid, start time


@dataclass(frozen=True)
class DropRow:
    """One place where packets are dropped, and one cause; `rate` is a second, `peer` the last."""

    place: Place
    listener: str
    owner: str
    owner_key: Key
    cause: str
    stage: str
    answer: str
    count: int
    rate: float | None
    peer: str
    meaning: str


@dataclass(frozen=True)
class ListenerDrops:
    """Of one listener, since `syn_drop` is attached: by cause and stage, and cookies sent."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    cookies: int = 0
    cookies_rate: float = 0.0

    @property
    def rate(self) -> float:
        """All that it dropped, a second."""
        return sum(self.rates.values())


@dataclass(frozen=True)
class DropsPicture:
    """All of it; `span_ns` is how long it has been looked at."""

    span_ns: int
    rows: list[DropRow]
    recent: list[tuple[Key, str]]  # lines, newest last, by owner
    by_listener: dict[int, ListenerDrops]


@dataclass(frozen=True)
class Parts:
    """What the panes show; `change` is what was attached or detached last. None: not attached."""

    change: str = ""
    drops: DropsPicture | None = None
