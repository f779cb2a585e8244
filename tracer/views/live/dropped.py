"""What listeners threw away since that is attached: by place and cause, and the last of them."""

from __future__ import annotations

from collections import deque

import numpy as np

from tracer.flows.drops import DropTable, Place
from tracer.views import lines
from tracer.views.columns import Facts, Row, rows
from tracer.views.drop_table import DECIDES
from tracer.views.live.parts import DropRow, DropsPicture, ListenerDrops, Told
from tracer.views.live.rows import named
from tracer.views.text import address, endpoint
from tracer.wire.layout import Records
from tracer.words.causes import MEANINGS

RECENT = 20


class Dropped:
    """Counts are the kernel's, exact however fast they come; peers and lines are of records.

    A recording has the kernel's counts at its end: before that, `by_records`, records are counted.
    """

    def __init__(self, facts: Facts, by_records: bool = False) -> None:
        self._facts, self._by_records = facts, by_records
        self.since_ns: int | None = None  # None: not attached
        self._table, self._before = DropTable(), DropTable()
        self._began_ns = self._marked_ns = 0
        self._rates: dict[Place, float] | None = None
        self._peers: dict[Place, str] = {}
        self._recent: deque[Told] = deque(maxlen=RECENT)

    def begin(self, now_ns: int) -> None:
        """It is attached: everything is counted from here."""
        self.since_ns = self._began_ns = now_ns
        self._before = DropTable()
        self._rates = None

    def end(self) -> None:
        """It is attached no more: nothing is known of what comes."""
        self.since_ns = self._rates = None
        self._table = DropTable()
        self._peers.clear()
        self._recent.clear()

    def counts(self, pairs: Records) -> None:
        """Take the kernel's counts as they stand."""
        self._by_records = False
        self._table.set_counts(pairs[pairs["key"]["matched"] > 0])

    def add(self, records: Records) -> None:
        """Take a batch of records: who sent the last of each place, and the last lines."""
        if self._by_records:
            self._table.add(records)
        columns = ("netns", "lport", "listener_cookie", "cause", "stage", "answer")
        keys = np.stack([records[name].astype(np.uint64) for name in columns], axis=1)
        # the last of each: unique() finds the first of those turned round
        found, at = np.unique(keys[::-1], axis=0, return_index=True)
        for key, i in zip(found.tolist(), at.tolist(), strict=True):
            record = records[len(records) - 1 - i]
            self._peers[Place(*key)] = address(record["raddr"].tobytes())
        last = records[-RECENT:]
        for record, row in zip(last, rows(last, "syn_drop"), strict=True):
            owner = int(record["pid"]), int(record["start"])
            whole = lines.line("syn_drop", row, self._facts)
            self._recent.append(Told(row.mono_ns, owner, whole, self._briefly(row)))

    def _briefly(self, row: Row) -> str:
        """For a narrow screen: who sent it, to which port, and what became of it."""
        facts = self._facts
        peer = endpoint(address(row.raddr), row.rport)
        what = lines.what("syn_drop", row, facts)
        return f"{facts.clock.time(row.mono_ns)} {peer} > :{row.lport}  {what}"

    def tick(self, now_ns: int) -> None:
        """An interval is over: rates are of it, or of what of it was looked at."""
        if self.since_ns is None:
            return
        seconds = (now_ns - max(self._marked_ns, self._began_ns)) / 1e9
        if seconds > 0:
            new = self._table.since(self._before).packets
            self._rates = {place: count / seconds for place, count in new.items()}
        self._before, self._marked_ns = self._table.copy(), now_ns

    # --- what is shown --------------------------------------------------------

    def rate_of(self, cookie: int) -> float | None:
        """What a listener drops a second; None where nothing looks at it, or not yet."""
        if self._rates is None:
            return None
        answers = self._facts.answers
        return sum(
            rate
            for place, rate in self._rates.items()
            if place.listener == cookie and answers[place.answer] != "cookie"
        )

    def by_listener(self) -> dict[int, ListenerDrops]:
        """All that dropped something, or sent cookies."""
        found: dict[int, ListenerDrops] = {}
        facts, rates = self._facts, self._rates or {}
        for place, count in self._table.packets.items():
            before = found.get(place.listener, ListenerDrops())
            rate = rates.get(place, 0.0)
            if facts.answers[place.answer] == "cookie":
                found[place.listener] = ListenerDrops(
                    before.counts,
                    before.rates,
                    before.cookies + count,
                    before.cookies_rate + rate,
                )
                continue
            key = facts.causes[place.cause], facts.stages[place.stage]
            found[place.listener] = ListenerDrops(
                before.counts | {key: before.counts.get(key, 0) + count},
                before.rates | {key: before.rates.get(key, 0.0) + rate},
                before.cookies,
                before.cookies_rate,
            )
        return found

    def picture(self, now_ns: int, names: dict[int, str], narrowed: bool) -> DropsPicture | None:
        """As it stands; `names` are those of listeners by cookie, and `narrowed` to these alone.

        None: it is not attached.
        """
        if self.since_ns is None:
            return None
        found = [
            self._row(place, count, names)
            for place, count in self._table.packets.items()
            if self._facts.answers[place.answer] != "cookie"
            and (not narrowed or place.listener in names)
        ]
        found.sort(key=lambda row: (-(row.rate or 0), -row.count, row.key))
        span_ns = now_ns - self.since_ns
        return DropsPicture(span_ns, found, list(self._recent), self.by_listener())

    def _row(self, place: Place, count: int, names: dict[int, str]) -> DropRow:
        facts = self._facts
        key = self._table.owners.get(place, (0, 0))
        cause, stage = facts.causes[place.cause], facts.stages[place.stage]
        answered = ", and a RST answered it" if facts.answers[place.answer] == "rst" else ""
        return DropRow(
            key=str(place),
            where="tcp",
            reason=cause,
            stage=stage,
            at=DECIDES[stage],
            local=names.get(place.listener, endpoint("*", place.port)),
            owner=named(key, facts),
            owner_key=key,
            count=count,
            rate=None if self._rates is None else self._rates.get(place, 0.0),
            peer=self._peers.get(place, "-"),
            meaning=MEANINGS[cause] + answered,
        )
