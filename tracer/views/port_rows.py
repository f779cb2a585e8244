"""What `ports` shows of one way: its columns, and the members of its record."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.flows import ports as flow
from tracer.flows.ports import Pace, Range, Use, Way
from tracer.views.listeners import marked, rate
from tracer.views.summary import Document
from tracer.views.tables import Column
from tracer.views.text import address, duration, escape

NOWHERE = (b"\0" * 16, b"\0" * 10 + b"\xff\xff" + b"\0" * 4)  # no address
MEMBERS = (
    *("laddr", "raddr", "rport", "netns", "pid", "comm", "in_use", "time_wait", "free", "range"),
    *("ports", "time_wait_reused", "opens", "opens_per_s", "most_per_s", "exhausted_in_s"),
    "failures",
)


@dataclass(frozen=True)
class Row:
    """The ports of one source address for one destination; `opens` None: not traced.

    `use` and `listened` are None where there was no look at sockets.
    `owner`: PID and name of the process with the most of them. `seconds`: the span.
    """

    way: Way
    use: Use | None
    range: Range | None
    listened: int | None
    reused: bool
    opens: int | None
    pace: Pace | None
    owner: tuple[int | None, str | None]
    local: str
    remote: str
    seconds: float
    failures: int = 0

    @property
    def in_use(self) -> int | None:
        """With a connection, or an attempt."""
        return self.use.live if self.use else None

    @property
    def time_wait(self) -> int | None:
        """What nothing but a TIME_WAIT keeps."""
        return len(self.use.remains) if self.use else None

    @property
    def ports(self) -> int | None:
        """How many connections there can be; None: range or listeners are not known."""
        if self.range is None or self.listened is None:
            return None
        return self.range.size - self.listened

    @property
    def free(self) -> int | None:
        """Never used, or let go of."""
        if self.ports is None or self.use is None:
            return None
        return max(0, self.ports - self.use.held)

    @property
    def used(self) -> float | None:
        """Share of all."""
        return min(1.0, self.use.held / self.ports) if self.ports and self.use else None

    @property
    def per_s(self) -> float | None:
        """Ports taken a second."""
        return self.opens / self.seconds if self.opens is not None and self.seconds else None

    @property
    def exhausted_in_s(self) -> float | None:
        """None: not known, or it will not come to that."""
        if self.pace is None or self.ports is None or self.use is None:
            return None
        return flow.exhausted_in_s(self.use, self.ports, self.pace, self.reused)

    @property
    def most_per_s(self) -> float | None:
        """What can go on for ever where each connection leaves a TIME_WAIT."""
        if self.ports is None:
            return None
        return flow.most_per_s(self.ports, flow.REUSE_S if self.reused else flow.TIME_WAIT_S)

    def scarcity(self) -> tuple[int, float, str]:
        """Least first."""
        return -self.failures, -(self.used or 0.0), f"{self.way}"

    def process(self) -> str:
        """`envoy[3380] +2`: who has the most, and how many others have some."""
        pid, comm = self.owner
        if comm is None:
            return "-"
        more = f" +{self.use.others}" if self.use and self.use.others else ""
        return f"{escape(comm)}[{pid or '-'}]{more}"


def in_time(seconds: float) -> str:
    """A time to come."""
    return duration(seconds * 1e9) if seconds else "now"


COLUMNS: tuple[Column[Row], ...] = (
    Column("LOCAL", lambda row: row.local, words=True),
    Column("REMOTE", lambda row: row.remote, words=True),
    Column("PROCESS", lambda row: row.owner[1], words=True, text=Row.process, spare=3),
    Column("IN USE", lambda row: row.in_use),
    Column("TIME_WAIT", lambda row: row.time_wait),
    Column("FREE", lambda row: row.free),
    Column("OF", lambda row: row.ports, spare=2),
    Column("USED", lambda row: row.used, "{:.0%}".format, spare=1),
    Column("OPEN/s", lambda row: row.per_s, rate),
    Column("OUT IN", lambda row: row.exhausted_in_s, in_time),
    Column("FAILED", lambda row: None if row.opens is None else row.failures, marked),
)


def document(row: Row) -> Document:
    """The members of a record."""
    way, left = row.way, row.exhausted_in_s
    return {
        "laddr": address(way.laddr) if way.laddr not in NOWHERE else None,
        "raddr": address(way.raddr),
        "rport": way.rport,
        "netns": way.netns,
        "pid": row.owner[0],
        "comm": row.owner[1],
        "in_use": row.in_use,
        "time_wait": row.time_wait,
        "free": row.free,
        "range": str(row.range) if row.range else None,
        "ports": row.ports,
        "time_wait_reused": row.reused,
        "opens": row.opens,
        "opens_per_s": None if row.per_s is None else round(row.per_s, 3),
        "most_per_s": None if row.most_per_s is None else round(row.most_per_s, 3),
        "exhausted_in_s": None if left is None else round(left, 3),
        "failures": None if row.opens is None else row.failures,
    }
