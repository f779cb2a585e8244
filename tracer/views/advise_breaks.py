"""Connections that a RST ended while they were in use, as rules see them: by process and peer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import BrokenOff, Owner
from tracer.flows.resets import Silence
from tracer.views.advise_silence import nothing_came_for
from tracer.views.columns import Facts
from tracer.views.text import address
from tracer.wire.layout import Records

MOST = 1 << 14  # pairs of process and peer: what is of more is not counted
Key = tuple[int, int, bytes]  # tgid, start, the peer's address
_STATES = ("ESTABLISHED", "CLOSE_WAIT")


class Breaks:
    """What `reset` records say; `begun_here` tells which of them are of connections begun here."""

    def __init__(
        self,
        facts: Facts,
        owner: Callable[[int, int], Owner],
        begun_here: Callable[[Records], NDArray[np.bool_]],
    ) -> None:
        self._facts, self._owner, self._begun_here = facts, owner, begun_here
        enums = facts.layout.enums
        by = enums.get("reset_by", {})
        self._received = enums.get("reset_way", {}).get("RECEIVED")
        self._unread, self._late = by.get("APP_CLOSE_UNREAD"), by.get("DATA_AFTER_CLOSE")
        self._states = [enums["tcp_state"][name] for name in _STATES]
        self._counts: dict[str, Counter[Key]] = {
            name: Counter() for name in ("received", "unread", "late")
        }
        self._last: dict[Key, tuple[int, int]] = {}  # port and namespace

    def add(self, records: Records) -> None:
        """Take a batch."""
        records = records[records["pid"] > 0]
        received = (records["way"] == self._received) & (records["answers"] == 0)
        came = records[received & np.isin(records["state"], self._states)]
        silent, known = nothing_came_for(came)
        # what came within the same tick of the kernel's clock is not known
        in_use = ~known | (silent < Silence.LONG_NS)
        self._count("received", came[self._begun_here(came) & in_use])
        sent = records[~received]
        # whoever had closed already waits for no answer
        unread = (sent["by"] == self._unread) & (sent["state"] == self._states[0])
        self._count("unread", sent[unread])
        self._count("late", sent[sent["by"] == self._late])

    def _count(self, name: str, rows: Records) -> None:
        for row in rows:
            key = int(row["pid"]), int(row["start"]), bytes(row["raddr"])
            if key not in self._last and len(self._last) >= MOST:
                continue
            self._counts[name][key] += 1
            self._last[key] = int(row["rport"]), int(row["netns"])

    def told(self) -> Iterator[BrokenOff]:
        """One for each process and peer."""
        for key, (port, netns) in self._last.items():
            host = address(key[2])
            yield BrokenOff(
                self._owner(*key[:2]),
                self._facts.endpoint(host, port),
                host,
                port,
                **{name: counts[key] for name, counts in self._counts.items()},
                netns=netns,
            )
