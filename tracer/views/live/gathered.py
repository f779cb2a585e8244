"""What single panes gather beside what all of the screen needs."""

from __future__ import annotations

import time
from functools import partial

import numpy as np

from tracer.flows.accepting import AcceptTable
from tracer.flows.attempts import Attempts
from tracer.flows.listeners import Listener
from tracer.flows.window import Window
from tracer.views.columns import Facts
from tracer.views.live.broken import Broken
from tracer.views.live.dropped import Dropped
from tracer.views.live.narrow import Narrowing
from tracer.views.live.parts import Minute, Parts
from tracer.views.live.picture import ListenerRow
from tracer.views.text import duration
from tracer.wire.head import Attachment
from tracer.wire.layout import Records


class Gathered:
    """On the session's thread: records and looks in, Parts out."""

    def __init__(self, facts: Facts, now_ns: int, recorded: bool = False) -> None:
        self._facts = facts
        self.dropped = Dropped(facts, by_records=recorded)
        self.restart(now_ns)
        self._pending = np.zeros(0, facts.layout.dtypes["sock_row"])
        self._pending_at = now_ns
        self._change = ""

    def restart(self, now_ns: int) -> None:
        """What is gathered from now on is of other processes, peers or ports than before."""
        self._accepts: Window[AcceptTable] = Window(AcceptTable, now_ns)
        self._broken = Broken(self._facts, now_ns)
        self._attempts: Window[Attempts] = Window(partial(Attempts, self._facts.layout), now_ns)

    def add(self, kinds: dict[str, Records]) -> None:
        """Take a batch."""
        for kind, add in (
            ("syn_drop", self.dropped.add),
            ("accept", self._accepts.now.add),
            ("handshake", self._attempts.now.add),
            ("reset", self._broken.resets),
            ("error", self._broken.errors),
        ):
            if kind in kinds:
                add(kinds[kind])

    def sockets(self, found: Records) -> None:
        """Of a pass over the sockets, the attempts that go on."""
        states = self._facts.layout.enums["tcp_state"]
        wanted = [states[name] for name in ("SYN_SENT", "SYN_RECV", "NEW_SYN_RECV")]
        self._pending = found[np.isin(found["state"], wanted)].copy()
        self._pending_at = time.monotonic_ns()

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
        self._broken.tick(now_ns)
        self._accepts.turn(now_ns)
        self._attempts.turn(now_ns)

    def parts(
        self, now_ns: int, listeners: list[Listener], shown: list[ListenerRow], to: Narrowing
    ) -> Parts:
        """As they stand; `shown` are the listeners that pass what the screen is narrowed to."""
        attempts = [one.frozen() for one in self._attempts.tables]
        minute = Minute(
            facts=self._facts,
            span_ns=now_ns - self._accepts.since_ns,
            accepts=[one.rows() for one in self._accepts.tables],
            by_peer=[one[0] for one in attempts],
            by_process=[one[1] for one in attempts],
            rest=[one[2] for one in attempts],
            pending=self._pending[to.passes(self._pending, self._facts)] if to else self._pending,
            pending_ns=max(0, now_ns - self._pending_at),
        )
        return Parts(
            change=self._change,
            breaks=self._broken.picture(now_ns),
            drops=self.dropped.picture(now_ns, {row.cookie: row.name for row in shown}, bool(to)),
            minute=minute,
            listeners={int(one.row["cookie"]): one for one in listeners},
            holders=self._facts.holders,
        )


def _say(change: Attachment) -> str:
    """For the last lines."""
    if change.how == "attaching":
        return f"attaching {change.subject}"
    if change.how == "off":
        return f"{change.subject} " + (f"is off: {change.why}" if change.why else "detached")
    return f"{change.subject} attached in {duration(change.took_us * 1000)}"
