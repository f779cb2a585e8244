"""Evidence for rules while the session goes on: of the last minute or two, judged now and then."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tracer.advice.finding import Finding
from tracer.advice.rules import judge
from tracer.flows.devices import Devices
from tracer.flows.drops import Counters
from tracer.flows.packet_filters import PacketFilters
from tracer.views.advise_evidence import Gathered
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.head import Attachment, Head
from tracer.wire.layout import Records

ADVICE = "advice"  # a pane wants it
TURN_NS = 60_000_000_000  # evidence is of one to two times that
SHARE = 50  # of a CPU: judging may take one part of so many


@dataclass(frozen=True)
class AdvicePicture:
    """Findings, the worst first; rules that found nothing; those without evidence so far; what else
    is not known, in words.
    """

    span_ns: int
    findings: tuple[Finding, ...]
    quiet: tuple[str, ...]
    blind: tuple[str, ...]
    unseen: tuple[str, ...] = ()


class Advising:
    """Two spans, the later one within the earlier, which is judged, and then takes its place.

    `whole`: it is there from the session's begin, and what listeners counted is of its span.
    """

    def __init__(self, facts: Facts, head: Head, now_ns: int, whole: bool) -> None:
        self._facts, self._head, self._whole = facts, head, whole
        self._settings: dict[int, dict[str, str]] = {}
        self._listening: Records | None = None
        self._spans: list[tuple[int, Gathered]] = []
        self._picture: AdvicePicture | None = None
        self._due = 0.0
        self._now_ns = now_ns
        self._begin(now_ns)

    def _begin(self, now_ns: int) -> None:
        made = Gathered(self._facts, replace(self._head, started_ns=now_ns), traced=True)
        made.ports.tick(now_ns)
        made.ports.sysctls(self._settings)
        made.spaces.sysctls(self._settings)
        if self._listening is not None:
            made.listeners(self._listening)
            made.from_now_on(now_ns)
        if self._spans:
            made.filters.begin_at(self._spans[-1][1].filters)
        self._spans = [*self._spans[-1:], (now_ns, made)]

    # --- what a session tells -------------------------------------------------

    def batch(self, batch: Batch) -> None:
        """Take a batch."""
        for _, one in self._spans:
            one.gather(batch)

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Take settings."""
        self._settings |= found
        for _, one in self._spans:
            one.ports.sysctls(found)
            one.spaces.sysctls(found)

    def kernel(self, counters: Counters) -> None:
        """Take the kernel's own counters."""
        for _, one in self._spans:
            one.spaces.kernel(counters)

    def devices(self, found: Devices) -> None:
        """Take counters of devices and CPUs."""
        for _, one in self._spans:
            one.devices.add(found)

    def packet_filters(self, found: PacketFilters) -> None:
        """Take rules of packet filters, and their counters."""
        for _, one in self._spans:
            one.filters.add(found)

    def packets(self, pairs: Records, rest: NDArray[np.uint64]) -> None:
        """Take the counts of what was dropped."""
        for _, one in self._spans:
            one.filters.packets(pairs, rest)

    def attached(self, change: Attachment) -> None:
        """What was counted of dropped packets is told no longer once that is over."""
        if change.subject == "drop" and change.how == "off":
            for _, one in self._spans:
                one.filters.packets_left()

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """Take a pass over all sockets."""
        for _, one in self._spans:
            one.all_sockets(rows, chosen)

    def connections(self, rows: Records) -> None:
        """Take a closer look at what is open."""
        for _, one in self._spans:
            one.connections(rows, self._now_ns)

    def listeners(self, rows: Records) -> None:
        """Take a look at listeners."""
        first = self._listening is None and not self._whole
        self._listening = rows
        for _, one in self._spans:
            one.listeners(rows)
            if first:  # what they counted before is of a time that nobody looked at
                one.from_now_on(self._now_ns)

    def tick(self, now_ns: int) -> None:
        """Time goes on."""
        self._now_ns = now_ns
        if now_ns - self._spans[-1][0] >= TURN_NS:
            self._begin(now_ns)
        for _, one in self._spans:
            one.ports.tick(now_ns)

    # --- what is shown --------------------------------------------------------

    def picture(self, now_ns: int) -> AdvicePicture:
        """What rules make of it, judged anew if that has not taken too long of late."""
        if self._picture is None or time.monotonic() >= self._due:
            began = time.thread_time()
            since_ns, gathered = self._spans[0]
            advice = judge(gathered.evidence(now_ns - since_ns))
            self._picture = AdvicePicture(
                now_ns - since_ns, advice.findings, advice.quiet, advice.blind, advice.unseen
            )
            self._due = time.monotonic() + (time.thread_time() - began) * SHARE
        return self._picture
