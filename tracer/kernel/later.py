"""What is attached for as long as somebody wants it: beside what runs, on a thread of its own.

One that is no longer wanted stays for LINGER_S: who goes back and forth does not wait each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tracer.errors import TracerError
from tracer.kernel.beside import Beside
from tracer.kernel.drops_beside import DropsBeside
from tracer.probes import Rung
from tracer.wire.head import Attachment

LINGER_S = 10.0
PREPARE_S = 2.0  # the first pictures come before
NAME = "syn_drop"  # the one subject that comes and goes


class Later:
    """`want` may be called by any thread, everything else is the session's.

    `rungs` are those of the subjects that may be wanted. What costs nothing while nothing happens
    is wanted from the begin, and always. `prepare` is done once, soon after the session's begin.
    """

    def __init__(
        self,
        rungs: dict[str, Rung],
        make: Callable[[], DropsBeside],
        prepare: Callable[[], object],
    ) -> None:
        self.rungs = rungs
        self.drops: DropsBeside | None = None
        self._always = frozenset(name for name, rung in rungs.items() if not rung.costs)
        self._wanted = self._always
        self._make, self._prepare = make, prepare
        self._preparing: Beside[object] | None = None
        self._prepare_at = time.monotonic() + PREPARE_S
        self._coming: Beside[DropsBeside] | None = None
        self._going: Beside[None] | None = None
        self._began = 0.0
        self._left_at: float | None = None
        self._refused = False
        self._missed: Counter[str] = Counter()  # of those that have gone

    def want(self, names: frozenset[str]) -> None:
        """From now on these are wanted, and no others."""
        self._wanted = names | self._always

    @property
    def is_busy(self) -> bool:
        """Whether something is being attached or detached."""
        return self._coming is not None or self._going is not None

    def step(self) -> Attachment | None:
        """Begin, or end, what is due; returns what has changed since the last call."""
        if self._coming is not None:
            return self._arrived(self._coming) if self._coming.is_done else None
        if self._going is not None:
            return self._gone(self._going) if self._going.is_done else None
        wanted, now = NAME in self._wanted & self.rungs.keys(), time.monotonic()
        if self._preparing is None and self.rungs and now >= self._prepare_at:
            self._preparing = Beside(self._prepare)
        if wanted:
            self._left_at = None
            if self.drops is None and not self._refused:
                self._began, self._coming = now, Beside(self._make)
                return self._change("attaching")
        else:
            self._refused = False
            self._left_at = self._left_at or now
            if self.drops is not None and now >= self._left_at + LINGER_S:
                self._going = Beside(self.drops.detach)
        return None

    def _arrived(self, coming: Beside[DropsBeside]) -> Attachment:
        self._coming = None
        try:
            self.drops = coming.result()
        except (OSError, TracerError) as error:
            self._refused = True
            return self._change("off", str(error))
        return self._change(self.drops.how)

    def _gone(self, going: Beside[None]) -> Attachment:
        self._going = None
        going.result()
        return self._change("off")

    def let_go(self) -> None:
        """Free what `step` told to be off, once its last counts were read."""
        if self.drops is not None:
            self._missed.update(self.drops.account.missed())
            self.drops.close()
            self.drops = None

    def _change(self, how: str, why: str = "") -> Attachment:
        took = time.monotonic() - self._began
        return Attachment(NAME, how, time.monotonic_ns(), int(took * 1e6), why)

    def missed(self) -> dict[str, int]:
        """Runs that the kernel skipped, by program, since the session began."""
        here = self.drops.account.missed() if self.drops is not None else {}
        return dict(self._missed + Counter(here))

    def begin_detach(self) -> None:
        """At the end: start to take off what is attached."""
        if self._coming is not None:
            self._arrived(self._coming)
        if self.drops is not None and self._going is None:
            self._going = Beside(self.drops.detach)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._preparing is not None:
            with suppress(OSError, TracerError):  # who needs it will be told
                self._preparing.result()
        self.begin_detach()
        if self._going is not None:
            self._gone(self._going)
        self.let_go()
