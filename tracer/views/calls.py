"""Stacks of calls as a view has them: those that were told of, if --stack asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Layout
from tracer.wire.stacks import Frames, Owned, Told, is_whole


@dataclass
class Calls:
    """Frames by the numbers that records of dropped packets have for them."""

    shown: bool = False
    kernel: dict[int, Frames] = field(default_factory=dict)
    users: dict[Owned, Frames] = field(default_factory=dict)
    # each way once: workers of one program have the same, and each of them a number of its own
    _ways: dict[tuple[str, ...], Frames] = field(default_factory=dict)

    def show(self, wanted: bool, head: Head, notice: Callable[[str], None]) -> None:
        """Whether they are asked for; says so if they are not there."""
        self.shown = wanted
        if wanted and "stacks" not in head.keeps:
            notice(
                "this recording keeps no stacks; make one that does:"
                " tcptrace record --kind drop --stack FILE"
            )

    def add(self, told: Told) -> None:
        """Take what is new."""
        self.kernel.update(told.kernel)
        for key, frames in told.user.items():
            way = tuple(map(intern, frames))
            self.users[key] = self._ways.setdefault(way, list(way))

    def of_kernel(self, row: Any) -> Frames | None:
        """The kernel's, as a packet was thrown away; None if it is not known or not asked for."""
        # recordings of before it was kept have no such field
        return self.kernel.get(getattr(row, "stack", 0)) if self.shown else None

    def of_owner(self, row: Any) -> Frames | None:
        """Its owner's, if that had called the kernel, and was not only interrupted by a packet."""
        if not is_whole(self.of_kernel(row) or []):
            return None
        return self.users.get(Owned(row.pid, row.start, row.user_stack))

    def lost(self, batch: Batch, layout: Layout) -> int:
        """How many of those asked for there was no room for, the kernel's and owners'."""
        drops = batch.kinds.get("drop")
        if drops is None or not self.shown or "stack" not in (drops.dtype.names or ()):
            return 0
        lost = layout.enums["stack_is"]["LOST"]
        return int(sum((drops[name] == lost).sum() for name in ("stack", "user_stack")))
