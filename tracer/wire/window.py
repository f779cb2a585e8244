"""A part of a recording: the frames of its records between two moments.

What was counted from the session's begin says nothing about a part, nor does a look at sockets
about one that ends before it; they are left out, and what stands on them is shown as unknown.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tracer.errors import TracerError, UsageError
from tracer.wire.batch import view
from tracer.wire.head import Head
from tracer.wire.layout import Records
from tracer.wire.recording import Frame

DAY_NS = 86400 * 10**9
# about the session from its begin
WHOLE = (
    *("CNTS", "MOVE", "KERN", "EDGE", "AWAY", "LSTN", "DROP", "PKTS", "REST", "RSTS", "DEVS"),
    *("RULE", "GATE"),
)
# what of Head.keeps these are
SUMS = ("counts", "moves", "kernel", "listeners", "drops", "packets", "resets")
LOOKS = ("SOCK", "OPEN", "MADE")


@dataclass(frozen=True)
class Moment:
    """A moment as it was asked for; exactly one of the first four says when.

    `wall_ns` since 1970; `day_ns` since midnight, `local` a date and time in the zone of output;
    `after_ns` the begin, before the end where it is negative.
    """

    typed: str
    wall_ns: int | None = None
    day_ns: int | None = None
    local: datetime.datetime | None = None
    after_ns: int | None = None

    def find(self, head: Head, utc: bool, ended_ns: int | None) -> int:
        """CLOCK_MONOTONIC, ns. Errors: UsageError where the end is not known and counted from."""
        if self.after_ns is not None:
            if self.after_ns >= 0:
                return head.started_ns + self.after_ns
            if ended_ns is None:
                raise UsageError(
                    f"{self.typed} counts from the end, which a pipe has not yet",
                    "keep it in a file first, or count from the begin: +30s",
                )
            return ended_ns + self.after_ns
        if self.wall_ns is not None:
            return self.wall_ns - head.offset_ns
        zone = datetime.UTC if utc else None
        if self.local is not None:
            zoned = self.local.replace(tzinfo=zone) if zone else self.local.astimezone()
            return round(zoned.timestamp() * 1e6) * 1000 - head.offset_ns
        began = datetime.datetime.fromtimestamp(
            (head.started_ns + head.offset_ns) / 1e9, datetime.UTC
        ).astimezone(zone)
        midnight = began.replace(hour=0, minute=0, second=0, microsecond=0)
        found = round(midnight.timestamp()) * 10**9 + (self.day_ns or 0) - head.offset_ns
        # before the minute it began: the next day's, if it went on until then
        crossed = ended_ns is not None and found + DAY_NS <= ended_ns
        return found + DAY_NS if found < head.started_ns and crossed else found


@dataclass
class Window:
    """From `since` to before `until`; `removed` counts records left out, by option."""

    since: Moment | None
    until: Moment | None
    utc: bool = False
    ended_ns: int | None = None  # when the recording ends, if that is known beforehand
    removed: dict[str, int] = field(default_factory=dict)
    first_ns: int = 0
    last_ns: int | None = None

    def cut(self, frames: Iterator[Frame], kinds: frozenset[str]) -> Iterator[Frame]:
        """The frames of this part; of records left out those of `kinds` are counted, none: all.

        Errors: TracerError for a recording without records, UsageError for a part that ends before
        it begins.
        """
        begin = next(frames, None)
        if begin is None:
            return
        head = Head.from_bytes(bytes(begin.data))
        self._place(head)
        values = head.layout.enums["kind"]
        self._task = values["TASK"]
        counted = (kinds or {name.lower() for name in values}) - {"task"}
        self._counted = [value for name, value in values.items() if name.lower() in counted]
        yield Frame("HEAD", self._told(head).to_bytes())
        for frame in frames:
            if frame.tag in ("SMAL", "LARG"):
                yield self._records(frame, head)
            elif frame.tag == "LAST":
                yield self._end(frame)
            elif frame.tag == "MARK":
                if self._holds(int(np.frombuffer(frame.data, np.int64)[0])):
                    yield frame
            elif frame.tag not in WHOLE and not (frame.tag in LOOKS and self.last_ns is not None):
                yield frame

    def options(self) -> dict[str, str]:
        """As they were typed, by name."""
        both = (("SINCE", self.since), ("UNTIL", self.until))
        return {name: moment.typed for name, moment in both if moment}

    def _place(self, head: Head) -> None:
        if "records" not in head.keeps:
            raise TracerError(
                "this recording keeps sums only, and no part of it can be told apart",
                "make one that keeps records: tcptrace record FILE",
            )
        find = (head, self.utc, self.ended_ns)
        self.first_ns = max(head.started_ns, self.since.find(*find) if self.since else 0)
        self.last_ns = self.until.find(*find) if self.until else None
        if self.last_ns is not None and self.last_ns <= self.first_ns:
            typed = " ".join(self.options().values())
            raise UsageError(f"{typed}: nothing lies between", "give a later --until")
        if self.last_ns and self.ended_ns and self.last_ns > self.ended_ns:
            self.last_ns = None  # nothing comes after it

    def _told(self, head: Head) -> Head:
        keeps = tuple(name for name in head.keeps if name not in SUMS)
        filters = head.filters | self.options()
        return replace(head, started_ns=self.first_ns, keeps=keeps, filters=filters)

    def _holds(self, moment_ns: int) -> bool:
        return self.first_ns <= moment_ns and (self.last_ns is None or moment_ns < self.last_ns)

    def _records(self, frame: Frame, head: Head) -> Frame:
        """The samples of this part. Names of processes stay, whenever they were told."""
        small = frame.tag == "SMAL"
        encoding = head.encoding[frame.tag]
        data = np.frombuffer(frame.data, np.uint8)
        dtype = head.layout.dtypes["state" if small else "large"]
        records: Records = view(data, encoding, dtype)
        times = records["mono_ns"]
        early = times < self.first_ns
        late = times >= self.last_ns if self.last_ns is not None else np.zeros_like(early)
        for name, left_out in (("SINCE", early), ("UNTIL", late & ~early)):
            count = int(np.isin(records["kind"][left_out], self._counted).sum())
            if count:
                self.removed[name] = self.removed.get(name, 0) + count
        kept = ~(early | late) | (records["kind"] == self._task)
        return Frame(frame.tag, data.reshape(-1, encoding.stride)[kept].reshape(-1))

    def _end(self, frame: Frame) -> Frame:
        last = json.loads(bytes(frame.data))
        if self.last_ns is not None:
            last["mono_ns"] = min(last["mono_ns"], self.last_ns)
        last["mono_ns"] = max(last["mono_ns"], self.first_ns)
        return Frame("LAST", json.dumps(last).encode())
