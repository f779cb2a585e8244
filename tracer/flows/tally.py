"""What the counters add up to: seen, matched, refused, lost; and what of that is new."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records

# Records that carry names to user space; nobody asked to see them.
_INTERNAL = "TASK"


@dataclass
class Tally:
    """Counts of one session, kept by the kernel (`read`) or made from it (`late`).

    With `kinds`, only those are counted as seen and matched.
    """

    seen: int = 0
    matched: int = 0
    late: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    lost_buffer: dict[str, int] = field(default_factory=dict)
    lost_map: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    limited_by_kind: dict[str, int] = field(default_factory=dict)  # counted, and not sent
    lost_names: int = 0  # records that name processes: no events, and told again when they can be
    # processes and control groups that were asked for, for which there was no room
    unmarked: int = 0
    kinds: frozenset[str] = frozenset()

    @property
    def lost(self) -> int:
        """Records that did not come: no room in a buffer or a map, or a probe skipped."""
        parts = (self.lost_buffer, self.lost_map, self.missed)
        return sum(sum(part.values()) for part in parts)

    @property
    def limited(self) -> int:
        """Records that were not sent as there were too many a second; the counts have them."""
        return sum(self.limited_by_kind.values())

    def read(self, stats: Records, layout: Layout) -> list[tuple[str, str, int]]:
        """Take the counters as they stand; returns what was lost since: (why, of, count)."""
        kinds, filters = layout.enums["kind"], layout.enums["filter"]
        shown = [
            value
            for name, value in kinds.items()
            if name not in (_INTERNAL, "LOST", "MAX")
            and (not self.kinds or name.lower() in self.kinds)
        ]
        self.seen = int(stats["seen"][shown].sum())
        self.matched = int(stats["matched"][shown].sum())
        self.refused = {
            name: int(stats["refused"][value])
            for name, value in filters.items()
            # other kinds are refused for what they are; that is not for the user to be told
            if name not in ("NONE", "MAX", *(["KIND"] if self.kinds else []))
            and stats["refused"][value]
        }
        self.lost_names = int(stats["lost_buffer"][kinds[_INTERNAL]])
        self.unmarked = int(stats["lost_map"][kinds[_INTERNAL]])
        new = []
        for why, column, kept in (
            ("buffer", "lost_buffer", self.lost_buffer),
            ("map", "lost_map", self.lost_map),
            ("limited", "limited", self.limited_by_kind),
        ):
            if column not in (stats.dtype.names or ()):
                continue  # a recording of an earlier version
            for name, value in kinds.items():
                if name == "MAX" or (name == _INTERNAL and why != "map"):
                    continue
                total = int(stats[column][value])
                if total > kept.get(name.lower(), 0):
                    new.append((why, name.lower(), total - kept.get(name.lower(), 0)))
                    kept[name.lower()] = total
        return new

    def read_missed(self, missed: dict[str, int]) -> list[tuple[str, str, int]]:
        """Take the kernel's counts of skipped runs by program; returns what is new."""
        new = []
        for program, total in missed.items():
            if total > self.missed.get(program, 0):
                new.append(("missed", program, total - self.missed.get(program, 0)))
                self.missed[program] = total
        return new


@dataclass(frozen=True)
class Lost:
    """Records that did not come: how many, why, of which kind or program."""

    mono_ns: int
    count: int
    why: str
    of: str


@dataclass
class Outcome:
    """How a session ended: its counts, its span, and what is to be told about it."""

    tally: Tally
    span_ns: int = 0
    ended_by: str = ""
    filters: Filters = field(default_factory=Filters)
