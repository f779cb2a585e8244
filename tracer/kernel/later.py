"""What is attached for as long as somebody wants it: beside what runs, each on a thread of its own.

One that is no longer wanted stays for LINGER_S: who goes back and forth does not wait each time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from tracer.errors import TracerError
from tracer.kernel.beside import Beside
from tracer.kernel.drops_beside import DropsBeside, Host, PacketsBeside, SynDropsBeside
from tracer.probes import Rung
from tracer.wire.head import Attachment

LINGER_S = 10.0
PREPARE_S = 2.0  # the first pictures come before
SYN, PACKETS = SynDropsBeside.name, PacketsBeside.name


class Guest:
    """One subject that comes and goes. `after`: the one that is to be attached before it."""

    def __init__(self, kind: type[DropsBeside], host: Host, after: Guest | None) -> None:
        self.name = kind.name
        self.there: DropsBeside | None = None
        self._kind, self._host, self._after = kind, host, after
        self._coming: Beside[DropsBeside] | None = None
        self._going: Beside[None] | None = None
        self._began = 0.0
        self._left_at: float | None = None
        self._refused = False
        self._missed: Counter[str] = Counter()  # of those that have gone

    @property
    def is_busy(self) -> bool:
        """Whether it is being attached or detached."""
        return self._coming is not None or self._going is not None

    def step(self, wanted: bool) -> Attachment | None:
        """Begin, or end, what is due; returns what has changed since the last call."""
        if self._coming is not None:
            return self._arrived(self._coming) if self._coming.is_done else None
        if self._going is not None:
            return self._gone(self._going) if self._going.is_done else None
        now = time.monotonic()
        if wanted:
            self._left_at = None
            if self.there is None and not self._refused and self._may_come:
                self._began, self._coming = now, Beside(self._make)
                return self._change("attaching")
        else:
            self._refused = False
            self._left_at = self._left_at or now
            if self.there is not None and now >= self._left_at + LINGER_S:
                self._going = Beside(self.there.detach)
        return None

    @property
    def _may_come(self) -> bool:
        first = self._after
        if first is None or first._coming is not None or first._refused:
            return True
        return first.there is not None and first._going is None

    def _make(self) -> DropsBeside:
        """Loading takes longest: that is done side by side, attaching one after the other."""
        first = self._after._coming if self._after is not None else None
        return self._kind(self._host, first.wait if first is not None else lambda: None)

    def _arrived(self, coming: Beside[DropsBeside]) -> Attachment:
        self._coming = None
        try:
            self.there = coming.result()
        except (OSError, TracerError) as error:
            self._refused = True
            return self._change("off", str(error))
        return self._change(self.there.rung.how)

    def _gone(self, going: Beside[None]) -> Attachment:
        self._going = None
        going.result()
        return self._change("off")

    def _change(self, how: str, why: str = "") -> Attachment:
        took = time.monotonic() - self._began
        return Attachment(self.name, how, time.monotonic_ns(), int(took * 1e6), why)

    def let_go(self) -> None:
        """Free what `step` told to be off, once its last counts were read."""
        if self.there is not None:
            self._missed.update(self.there.account.missed())
            self.there.close()
            self.there = None

    def missed(self) -> Counter[str]:
        """Runs that the kernel skipped, by program, since the session began."""
        here = self.there.account.missed() if self.there is not None else {}
        return self._missed + Counter(here)

    def begin_detach(self) -> None:
        """At the end: start to take off what is attached."""
        if self._coming is not None:
            self._arrived(self._coming)
        if self.there is not None and self._going is None:
            self._going = Beside(self.there.detach)

    def close(self) -> None:
        """Leave nothing behind."""
        self.begin_detach()
        if self._going is not None:
            self._gone(self._going)
        self.let_go()


class Later:
    """`want` may be called by any thread, everything else is the session's.

    `rungs` are those of the subjects that may be wanted. What costs nothing while nothing happens
    is wanted from the begin, and always. `prepare` is done once, soon after the session's begin.
    """

    def __init__(self, rungs: dict[str, Rung], host: Host, prepare: Callable[[], object]) -> None:
        first = Guest(SynDropsBeside, host, None) if SYN in rungs else None
        # of a final ACK both are told: that it is a listener's drop is known by then
        second = Guest(PacketsBeside, host, first) if PACKETS in rungs else None
        self.guests = {guest.name: guest for guest in (first, second) if guest is not None}
        self._always = frozenset(name for name, rung in rungs.items() if not rung.costs)
        self._wanted = self._always
        self._prepare = prepare
        self._preparing: Beside[object] | None = None
        self._prepare_at = time.monotonic() + PREPARE_S

    def want(self, names: frozenset[str]) -> None:
        """From now on these are wanted, and no others; packets stand on what listeners drop."""
        self._wanted = names | self._always | ({SYN} if PACKETS in names else frozenset())

    @property
    def is_busy(self) -> bool:
        """Whether something is being attached or detached."""
        return any(guest.is_busy for guest in self.guests.values())

    @property
    def syn_drops(self) -> SynDropsBeside | None:
        """What sees what listeners drop, while it is attached."""
        found = self.guests[SYN].there if SYN in self.guests else None
        return found if isinstance(found, SynDropsBeside) else None

    @property
    def packets(self) -> PacketsBeside | None:
        """What sees all other packets that are dropped, likewise."""
        found = self.guests[PACKETS].there if PACKETS in self.guests else None
        return found if isinstance(found, PacketsBeside) else None

    @property
    def there(self) -> list[DropsBeside]:
        """All that is attached."""
        return [guest.there for guest in self.guests.values() if guest.there is not None]

    def step(self) -> list[Attachment]:
        """Begin, or end, what is due; returns what has changed since the last call."""
        if self._preparing is None and self.guests and time.monotonic() >= self._prepare_at:
            self._preparing = Beside(self._prepare)
        steps = [guest.step(name in self._wanted) for name, guest in self.guests.items()]
        return [change for change in steps if change is not None]

    def let_go(self, name: str) -> None:
        """Free what `step` told to be off, once its last counts were read."""
        self.guests[name].let_go()

    def missed(self) -> dict[str, int]:
        """Runs that the kernel skipped, by program, since the session began."""
        found: Counter[str] = Counter()
        for guest in self.guests.values():
            found += guest.missed()
        return dict(found)

    def begin_detach(self) -> None:
        """At the end: start to take off what is attached."""
        for guest in self.guests.values():
            guest.begin_detach()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._preparing is not None:
            with suppress(OSError, TracerError):  # who needs it will be told
                self._preparing.result()
        self.begin_detach()
        for guest in self.guests.values():
            guest.close()
