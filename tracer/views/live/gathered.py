"""What single panes gather beside what all of the screen needs."""

from __future__ import annotations

from tracer.views.columns import Facts
from tracer.views.live.dropped import Dropped
from tracer.views.live.parts import Parts
from tracer.views.text import duration
from tracer.wire.head import Attachment
from tracer.wire.layout import Records


class Gathered:
    """On the session's thread: records and looks in, Parts out."""

    def __init__(self, facts: Facts) -> None:
        self.dropped = Dropped(facts)
        self._change = ""
        self._names: dict[int, str] = {}

    def add(self, kinds: dict[str, Records]) -> None:
        """Take a batch."""
        if "syn_drop" in kinds:
            self.dropped.add(kinds["syn_drop"])

    def attached(self, change: Attachment) -> None:
        """What is counted of a subject begins, or ends."""
        if change.how == "off":
            self.dropped.end()
        elif change.how != "attaching":
            self.dropped.begin(change.mono_ns - change.took_us * 1000)
        self._change = _say(change)

    def tick(self, now_ns: int) -> None:
        """An interval is over."""
        self.dropped.tick(now_ns)

    def parts(self, now_ns: int, listeners: dict[int, str]) -> Parts:
        """As they stand; `listeners` are names by cookie."""
        self._names = listeners or self._names
        return Parts(self._change, self.dropped.picture(now_ns, self._names))


def _say(change: Attachment) -> str:
    """For the last lines."""
    if change.how == "attaching":
        return f"attaching {change.subject}"
    if change.how == "off":
        return f"{change.subject} " + (f"is off: {change.why}" if change.why else "detached")
    return f"{change.subject} attached in {duration(change.took_us * 1000)}"
