"""Records that did not come, so that what stands on records says of what share of them it is."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from tracer.flows.tally import Lost
from tracer.flows.window import Window
from tracer.wire.layout import Records

MOST = 1000
# of these it is known of which kind the record was; `limited` ones are counted elsewhere
_OF_KINDS = ("buffer", "map")
# what a full buffer loses is counted all the same; what a program was skipped for, or had no room
# for, need not be. These stand behind the rates: kinds, and programs that make them
_COUNTED = frozenset({"state", "accept", "tt_state"})
_COUNTING = ("tt_accept", "tt_uring")


class Share(NamedTuple):
    """Of one kind, in one span: records that came, and those that were lost."""

    came: int = 0
    lost: int = 0

    def __str__(self) -> str:
        """`of 62% of them`, rounded down; nothing where all came."""
        if not self.lost:
            return ""
        percent = 100 * self.came // (self.came + self.lost)
        return f"of {percent or '<1'}% of them"


class Losses:
    """What came and what was lost, in the last minute or so and since `restart`."""

    def __init__(self, now_ns: int) -> None:
        self._came: Window[Counter[str]] = Window(Counter, now_ns)
        self._lost: Window[Counter[str]] = Window(Counter, now_ns)
        self._uncounted: Window[Counter[str]] = Window(Counter, now_ns)
        self._at: list[tuple[int, int]] = []
        self.restart()

    def restart(self) -> None:
        """What is counted in all is counted from now on."""
        self._all_came: Counter[str] = Counter()
        self._all_lost: Counter[str] = Counter()

    def came(self, kinds: dict[str, Records]) -> None:
        """Take a batch."""
        for kind, records in kinds.items():
            self._came.now[kind] += len(records)
            self._all_came[kind] += len(records)

    def lost(self, lost: list[Lost]) -> None:
        """Take what is told to be lost."""
        for one in lost:
            if one.why in _OF_KINDS:
                self._lost.now[one.of] += one.count
                self._all_lost[one.of] += one.count
            stands = one.of in _COUNTED or one.of.startswith(_COUNTING)
            if one.why in ("missed", "map") and stands:
                self._uncounted.now[one.of] += one.count
        self._at += [(one.mono_ns, one.count) for one in lost]
        if len(self._at) > MOST:  # older ones count as one, at the latest of them
            old, self._at = self._at[:-MOST], self._at[-MOST:]
            self._at.insert(0, (old[-1][0], sum(count for _, count in old)))

    def turn(self, now_ns: int) -> None:
        """An interval is over."""
        self._came.turn(now_ns)
        self._lost.turn(now_ns)
        self._uncounted.turn(now_ns)

    @property
    def at(self) -> tuple[tuple[int, int], ...]:
        """When records were found to be lost, and how many."""
        return tuple(self._at)

    def of_minute(self) -> dict[str, Share]:
        """By kind, those of which any was lost."""
        came, lost = (sum(one.tables, Counter()) for one in (self._came, self._lost))
        return {kind: Share(came[kind], count) for kind, count in lost.items()}

    def uncounted_of_minute(self) -> int:
        """How often the kernel's own counts of connections may have missed one."""
        return sum(table.total() for table in self._uncounted.tables)

    def of_all(self) -> dict[str, Share]:
        """The same since `restart`."""
        lost = self._all_lost.items()
        return {kind: Share(self._all_came[kind], count) for kind, count in lost}
