"""What the screen shows at one moment: made by the session's thread, drawn by the screen's."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.flows.history import History
from tracer.flows.measured import Looked
from tracer.flows.sockets import Owner
from tracer.views.columns import Facts
from tracer.views.live.narrow import Narrowing
from tracer.views.live.parts import Parts
from tracer.wire.cost import KernelCost
from tracer.wire.layout import Records


@dataclass(frozen=True)
class ProcessRow:
    """One owner of sockets. `trouble` is empty where nothing is wrong.

    Of the last minute: attempts to connect that `ended`, those of them unanswered (`silent`) or
    `failed` in any way, and how many sockets have been `left` in CLOSE_WAIT. `late` ones wait for
    an answer.
    """

    key: Owner
    pid: str
    name: str
    container: str
    now: dict[str, int]
    opens: float | None = None
    fails: float | None = None
    queue: str = "-"
    trouble: str = ""
    ended: int = 0
    silent: int = 0
    failed: int = 0
    late: int = 0
    left: int = 0

    @property
    def sockets(self) -> int:
        """All that it has, TIME_WAIT ones left out: no process has those."""
        return sum(count for state, count in self.now.items() if state != "TIME_WAIT")


@dataclass(frozen=True)
class ListenerRow:
    """One listening socket; `queue` and `limit` as ss has them (Recv-Q, Send-Q)."""

    cookie: int
    name: str
    owner: str
    owner_key: Owner
    queue: int
    peak: int
    limit: int
    set_by: str
    full: float | None  # share of the interval; None: one look alone
    syn_queue: int
    accepts: float | None
    drops: float | None

    @property
    def is_full(self) -> bool:
        """The queue holds one more than its limit (sk_acceptq_is_full, include/net/sock.h)."""
        return self.queue > self.limit


@dataclass(frozen=True)
class Counter:
    """One of the kernel's counters that grew: in the last interval, a second, and in all."""

    name: str
    rate: float | None
    span: int
    trouble: bool


@dataclass(frozen=True)
class Picture:
    """One moment. Rates are None until an interval has passed.

    `of_records`: they are of records, which may be lost, not what the kernel counted.
    `connections` are rows of flows/sockets.py; `lost_at` moments and counts of lost records;
    `unsure` what is to be said of `sockets`, where records of them were lost since the last look;
    `uncounted` how often in the last minute the kernel could not count: rates are at least that.
    """

    now_ns: int
    clock: str
    span_ns: int
    host: str
    kernel: str
    scope: str
    filters: str
    narrowing: Narrowing
    narrowed: str
    sockets: dict[str, int]
    connections: Records
    facts: Facts
    history: History
    looked: Looked
    lost_at: tuple[tuple[int, int], ...]
    unsure: str
    uncounted: int
    of_records: bool
    rates: dict[str, float | None]
    curves: dict[str, list[float]]
    counters: list[Counter]
    counters_rated: bool
    processes: list[ProcessRow]
    listeners: list[ListenerRow]
    tail: list[str]
    lost: int
    verdict: tuple[bool, str]  # whether something is wrong, and what; of all, as is what follows
    all_sockets: dict[str, int]
    proof: str
    notices: list[tuple[int, str]] = field(default_factory=list)
    attached: dict[str, str] = field(default_factory=dict)
    cpu: float | None = None
    memory_mb: float = 0.0
    ended: str = ""
    recorded: bool = False
    whole_ns: int = 0  # of a recording
    taken: KernelCost | None = None  # None: not measured
    costs: dict[str, str] = field(default_factory=dict)  # of what panes attach, in words
    expected: bool = False  # drops with which nothing is lost are shown: as a key has it
    parts: Parts = field(default_factory=Parts)
