"""Signs of trouble by process: attempts that failed, and sockets whose peers have closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tracer.flows.exact import Moves
from tracer.flows.pulse import Pulse, count_owners
from tracer.flows.sockets import Owner
from tracer.flows.window import Window
from tracer.views.handshake_words import MANY, NO_ANSWER, WELL
from tracer.wire.layout import Layout, Records


class Signs:
    """Counts by owner: attempts to connect that ended, in all, unanswered, or not well at all.

    `left` is how many sockets more than before are in CLOSE_WAIT.
    """

    def __init__(self, layout: Layout) -> None:
        self._enums = layout.enums
        self.ended: Counter[Owner] = Counter()
        self.silent: Counter[Owner] = Counter()
        self.failed: Counter[Owner] = Counter()
        self.left: Counter[Owner] = Counter()

    def add_moves(self, found: Moves) -> None:
        """Take what the kernel counted, instead of records of transitions."""
        for owner, count in found.more_in("CLOSE_WAIT").items():
            self.left[owner] += count

    def add(self, kind: str, records: Records) -> None:
        """Take a batch of one kind."""
        if kind == "state":
            waits = self._enums["tcp_state"]["CLOSE_WAIT"]
            count_owners(self.left, records, records["new"] == waits)
            count_owners(self.left, records, records["old"] == waits, -1)
        elif kind == "handshake":
            outcomes, outcome = self._enums["outcome"], records["outcome"]
            active = records["role"] == self._enums["role"]["ACTIVE"]
            silent = active & (outcome == outcomes[NO_ANSWER[0]])
            for name in NO_ANSWER[1:]:
                silent |= active & (outcome == outcomes[name])
            count_owners(self.ended, records, active)
            count_owners(self.silent, records, silent)
            count_owners(self.failed, records, active & (outcome != outcomes[WELL]))

    def more(self, others: Iterable[Signs]) -> Signs:
        """With those of other seconds."""
        for other in others:
            for name in ("ended", "silent", "failed", "left"):
                mine: Counter[Owner] = getattr(self, name)
                for owner, count in getattr(other, name).items():
                    mine[owner] += count
        return self

    def is_unanswered(self, owner: Owner) -> bool:
        """Whether many of its attempts got no answer."""
        return self.silent[owner] > MANY * self.ended[owner]

    def is_failing(self, owner: Owner) -> bool:
        """Whether many of its attempts failed, in whatever way."""
        return self.failed[owner] > MANY * self.ended[owner]


class Trends:
    """What happens a second, and signs of trouble in the last minute or so.

    With `counts_moves` the kernel tells what it counted by owner, and records are not asked.
    """

    def __init__(self, layout: Layout, now_ns: int, counts_moves: bool = False) -> None:
        self._layout, self._counts_moves = layout, counts_moves
        self.pulse = Pulse(layout, counts_moves)
        self._moved_ns = now_ns
        self._signs: Window[Signs] = Window(lambda: Signs(layout), now_ns)

    def add(self, kinds: dict[str, Records]) -> None:
        """Take a batch."""
        for kind, records in kinds.items():
            self.pulse.add(kind, records)
            if kind != "state" or not self._counts_moves:
                self._signs.now.add(kind, records)

    def moves(self, found: Moves, now_ns: int) -> None:
        """Take what the kernel counted by owner since the last time."""
        if now_ns > self._moved_ns:
            self.pulse.moves(found, (now_ns - self._moved_ns) / 1e9)
        self._moved_ns = now_ns
        self._signs.now.add_moves(found)

    def tick(self, now_ns: int, seconds: float | None) -> None:
        """An interval of so many seconds is over; None: the session has only begun."""
        if seconds is not None:
            self.pulse.tick(seconds)
        self._signs.turn(now_ns)

    def signs(self) -> Signs:
        """Of the last minute or so."""
        return Signs(self._layout).more(self._signs.tables)

    @property
    def since_ns(self) -> int:
        """When that began."""
        return self._signs.since_ns
