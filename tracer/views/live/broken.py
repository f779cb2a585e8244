"""RSTs and errors, by what they came from and whose they are, and the last of them."""

from __future__ import annotations

from collections import Counter, deque
from errno import errorcode

import numpy as np

from tracer.flows.resets import Silence, idle_spans
from tracer.views import lines
from tracer.views.columns import Facts, Row, rows
from tracer.views.live.parts import BreakRow, BreaksPicture, Key
from tracer.views.reset_silence import lines as silence_lines
from tracer.views.text import address, endpoint, escape
from tracer.wire.layout import Records
from tracer.words.resets import MEANINGS

RECENT = 20
MOST = 512  # rows; what comes beyond is counted together
Place = tuple[str, int, int, int, int]  # kind, way, what from or errno, tgid, start time
REST: Place = ("more", 0, 0, 0, 0)
COLUMNS = {"reset": ("way", "by", "pid", "start"), "error": ("ended", "error", "pid", "start")}


class Broken:
    """Counts are of records: a few a second, or a storm of them, add up the same."""

    def __init__(self, facts: Facts, now_ns: int) -> None:
        self._facts = facts
        self._began_ns = self._marked_ns = now_ns
        self._counts: Counter[Place] = Counter()
        self._before: Counter[Place] = Counter()
        self._rates: dict[Place, float] | None = None
        self._last: dict[Place, tuple[str, str, str]] = {}
        self._silence: dict[str, Silence] = {}
        self._recent: deque[tuple[int, Key, str, str]] = deque(maxlen=2 * RECENT)

    def resets(self, records: Records) -> None:
        """Take a batch of `reset` records."""
        self._add("reset", records)
        spans, known = idle_spans(records)
        for way, name in self._facts.reset_ways.items():
            chosen = known & (records["way"] == way)
            if chosen.any():
                self._silence.setdefault(name, Silence()).add(spans[chosen])

    def errors(self, records: Records) -> None:
        """Take a batch of `error` records."""
        self._add("error", records)

    def _add(self, kind: str, records: Records) -> None:
        columns = [records[name].astype(np.int64) for name in COLUMNS[kind]]
        # the last of each: unique() finds the first of those turned round
        keys = np.stack(columns, axis=1)[::-1]
        found, at, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
        for key, i, count in zip(found.tolist(), at.tolist(), counts.tolist(), strict=True):
            place: Place = (kind, *key)
            if place not in self._counts and len(self._counts) >= MOST:
                place = REST
            self._counts[place] += count
            one = records[len(records) - 1 - i : len(records) - i]
            self._last[place] = self._ends(rows(one, kind)[0])
        last = records[-RECENT:]
        for row in rows(last, kind):
            whole = lines.line(kind, row, self._facts)
            owner = row.pid, row.start
            self._recent.append((row.mono_ns, owner, whole, self._briefly(kind, row)))

    def _ends(self, row: Row) -> tuple[str, str, str]:
        """When the last was, between whom."""
        return (
            self._facts.clock.time(row.mono_ns)[:-4],
            endpoint(address(row.laddr), row.lport or None),
            endpoint(address(row.raddr), row.rport or None),
        )

    def _briefly(self, kind: str, row: Row) -> str:
        """For a narrow screen."""
        at, _, peer = self._ends(row)
        return f"{at} {peer} {kind} {lines.what(kind, row, self._facts)}"

    def tick(self, now_ns: int) -> None:
        """An interval is over: rates are of it."""
        seconds = (now_ns - self._marked_ns) / 1e9
        if seconds > 0:
            new = self._counts - self._before
            self._rates = {place: count / seconds for place, count in new.items()}
        self._before, self._marked_ns = self._counts.copy(), now_ns

    # --- what is shown --------------------------------------------------------

    def picture(self, now_ns: int) -> BreaksPicture:
        """As it stands."""
        found = [self._row(place, count) for place, count in self._counts.items()]
        found.sort(key=lambda row: (-(row.rate or 0), -row.count, row.place))
        told = [line for way, one in self._silence.items() for line in silence_lines(way, one)]
        # those of a batch come kind by kind
        recent = [one[1:] for one in sorted(self._recent, key=lambda one: one[0])]
        return BreaksPicture(now_ns - self._began_ns, found, recent[-RECENT:], told)

    def _row(self, place: Place, count: int) -> BreakRow:
        kind, way, cause, pid, start = place
        facts, process = self._facts, self._facts.process(pid, start)
        at, local, peer = self._last[place]
        if place == REST:
            what, why, meaning = "more", "-", "more sorts than are kept apart"
        elif kind == "reset":
            what = f"RST {facts.reset_ways[way]}"
            why = facts.reset_bys[cause]
            meaning = MEANINGS.get(why, why.replace("_", " "))
        else:
            what, why = "error", errorcode.get(cause, str(cause))
            meaning = "its application is told of it" if way else "told of, and it goes on"
        return BreakRow(
            place=" ".join(map(str, place)),
            what=what,
            why=why,
            owner=f"{escape(process.comm)}[{process.pid or '-'}]" if process else "-",
            owner_key=(pid, start),
            local=local,
            peer=peer,
            count=count,
            rate=None if self._rates is None else self._rates.get(place, 0.0),
            at=at,
            meaning=meaning,
        )
