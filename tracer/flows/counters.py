"""How far the kernel's counters moved between readings.

    moves = Moves()
    moves.look(reading)  # the first one: what all others are compared with
    step = moves.look(reading)
    step.deltas[key], step.seconds[key.netns]; moves.whole.deltas[key]

A namespace or a device that is new under a number or a name seen before is told from the one
before: what a namespace counted since its birth belongs to the step, what a device that has come
counted elsewhere does not, and is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.wire.counter import MACHINE, Key, Reading

Deltas = dict[Key, int | None]
# printed as 32 bits wide: they begin again at 0 (net/core/net-procfs.c, nf_conntrack_standalone.c)
NARROW = ("softnet", "conntrack")
PER_CPU = ("softnet",)  # a CPU that comes back goes on where it was
WRAP = 1 << 32


@dataclass
class Moved:
    """How far each moved, None: not known; over how many seconds, by namespace."""

    deltas: Deltas = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    born: set[int] = field(default_factory=set)
    gone: set[int] = field(default_factory=set)

    def add(self, step: Moved) -> None:
        """Take what came after it."""
        for key, delta in step.deltas.items():
            before = self.deltas.get(key, 0)
            self.deltas[key] = None if before is None or delta is None else before + delta
        for netns, seconds in step.seconds.items():
            # one that is new under the number of one that has gone goes on with its time
            self.seconds[netns] = self.seconds.get(netns, 0.0) + seconds
        self.born |= step.born
        self.gone |= step.gone


class Moves:
    """`now` is the latest reading, `whole` how far they moved since the first."""

    def __init__(self) -> None:
        self.now: Reading | None = None
        self.whole = Moved()

    def look(self, reading: Reading) -> Moved:
        """Take a reading: how far they moved since the one before; nowhere of the first."""
        before, self.now = self.now, reading
        if before is None:
            return Moved()
        step = _compare(before, reading)
        self.whole.add(step)
        return step


def _compare(before: Reading, now: Reading) -> Moved:
    known = {netns for netns in now.moments if _is_same(before, now, netns, "")}
    step = Moved(
        born=set(now.moments) - known - {MACHINE}, gone=set(before.moments) - known - {MACHINE}
    )
    for netns, moment in now.moments.items():
        then = before.moments[netns] if netns in known else before.began_ns
        step.seconds[netns] = (moment - then) / 1e9
    for key, value in now.values.items():
        step.deltas[key] = _delta(key, value, before, now, key.netns in known)
    return step


def _delta(key: Key, value: int, before: Reading, now: Reading, known: bool) -> int | None:
    if not known:
        # its own counts begin at 0; a device may have been elsewhere before
        return value if not key.dev or key.dev == "lo" else None
    then = before.values.get(key)
    if key.dev and not _is_same(before, now, key.netns, key.dev):
        return None
    if then is None:
        return None if key.dev or key.source in PER_CPU else value
    if value >= then:
        return value - then
    return value - then + WRAP if key.source in NARROW else None


def _is_same(before: Reading, now: Reading, netns: int, device: str) -> bool:
    """Whether both readings speak of one namespace, or of one device in it."""
    if netns not in before.moments:
        return False
    there = (netns, device)
    return before.ids.get(there) == now.ids.get(there)
