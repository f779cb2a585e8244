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
from tracer.views.live.packets import Packets
from tracer.views.live.parts import Minute, PacketsPicture, Parts
from tracer.views.live.picture import ListenerRow
from tracer.views.text import duration
from tracer.wire.head import Attachment
from tracer.wire.layout import Records


class Gathered:
    """On the session's thread: records and looks in, Parts out."""

    def __init__(self, facts: Facts, now_ns: int, recorded: bool = False) -> None:
        self._facts = facts
        self.dropped = Dropped(facts, by_records=recorded)
        self.packets = Packets(facts, by_records=recorded)
        self.restart(now_ns)
        self._pending = np.zeros(0, facts.layout.dtypes["sock_row"])
        self._pending_at = now_ns
        self._changes: dict[str, Attachment] = {}

    def restart(self, now_ns: int, narrowed: bool = False, limited: int = 0) -> None:
        """What is gathered from now on is of other processes, peers or ports than before.

        `limited`: how many dropped packets have had no record so far.
        """
        self._narrowed = Packets(self._facts, by_records=True) if narrowed else None
        if self._narrowed is not None and self.packets.since_ns is not None:
            self._narrowed.begin(now_ns)
        self._limited = limited
        self._accepts: Window[AcceptTable] = Window(AcceptTable, now_ns)
        self._broken = Broken(self._facts, now_ns)
        self._attempts: Window[Attempts] = Window(partial(Attempts, self._facts.layout), now_ns)

    def add(self, kinds: dict[str, Records], every: dict[str, Records]) -> None:
        """Take a batch: what passes, and all of it."""
        self.packets.add(every)
        if self._narrowed is not None:
            self._narrowed.add(kinds)
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
        parts: list[Dropped | Packets] = [self.dropped]
        if change.subject == "drop":
            parts = [part for part in (self.packets, self._narrowed) if part is not None]
        for part in parts:
            if change.how == "off":
                part.end()
            elif change.how != "attaching":
                part.begin(change.mono_ns - change.took_us * 1000)
        self._changes[change.subject] = change

    def tick(self, now_ns: int) -> None:
        """An interval is over."""
        self.dropped.tick(now_ns)
        self.packets.tick(now_ns)
        if self._narrowed is not None:
            self._narrowed.tick(now_ns)
        self._broken.tick(now_ns)
        self._accepts.turn(now_ns)
        self._attempts.turn(now_ns)

    def parts(
        self,
        now_ns: int,
        listeners: list[Listener],
        shown: list[ListenerRow],
        to: Narrowing,
        limited: int,
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
            change=_say(list(self._changes.values())),
            packets_since_ns=self.packets.since_ns,
            packets_limited=limited,
            packets=self._packets(now_ns, limited),
            why_off={name: one.why for name, one in self._changes.items() if one.why},
            breaks=self._broken.picture(now_ns),
            drops=self.dropped.picture(now_ns, {row.cookie: row.name for row in shown}, bool(to)),
            minute=minute,
            listeners={int(one.row["cookie"]): one for one in listeners},
            holders=self._facts.holders,
        )

    def _packets(self, now_ns: int, limited: int) -> PacketsPicture | None:
        alone, before = self.dropped.since_ns is None, self.packets.before()
        if self._narrowed is None:
            return self.packets.picture(now_ns, alone, before, 0)
        unsent = limited - self._limited
        return self._narrowed.picture(now_ns, alone, f"{before} (of all)", unsent)


def _say(changes: list[Attachment]) -> str:
    """For the last lines: what was attached or detached last."""
    alike: dict[tuple[str, str], list[Attachment]] = {}
    for one in changes:
        how = one.how if one.how in ("attaching", "off") else "attached"
        alike.setdefault((how, one.why), []).append(one)
    return "  ".join(_sentence(how, why, found) for (how, why), found in alike.items())


def _sentence(how: str, why: str, found: list[Attachment]) -> str:
    names = " ".join(one.subject for one in found)
    if how == "attaching":
        return f"attaching {names}"
    if how == "off":
        return f"{names} is off: {why}" if why else f"{names} detached"
    return f"{names} attached in {duration(max(one.took_us for one in found) * 1000)}"
