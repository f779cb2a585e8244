"""What single panes show of one moment, beside what all of the screen shows.

What takes long to work out is worked out when it is drawn: what is kept here does not change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from tracer.flows.accepting import Rows, Waits
from tracer.flows.attempts import spread_of
from tracer.flows.handshakes import HandshakeTable
from tracer.flows.listeners import Listener
from tracer.flows.transitions import Spread
from tracer.views.columns import Facts
from tracer.views.live.advising import AdvicePicture
from tracer.views.live.losses import Share
from tracer.wire.layout import Records

Key = tuple[int, int]  # tgid, start time
WELL = "OK"


@dataclass(frozen=True)
class DropRow:
    """One place where packets are dropped, and one cause; `rate` is a second, `peer` the last.

    `where` is the stage of its way, `local` the listener or the port, `stage` of a listener's drop
    the packet: syn or ack. Nothing is lost with an `expected` one.
    """

    key: str
    where: str
    reason: str
    at: str
    owner: str
    owner_key: Key
    local: str
    count: int
    rate: float | None
    meaning: str
    dev: str = "-"
    peer: str = "-"
    stage: str = ""
    expected: bool = False


@dataclass(frozen=True)
class Told:
    """One event as a line, and as a short one."""

    at_ns: int
    owner_key: Key
    whole: str
    short: str
    expected: bool = False


@dataclass(frozen=True)
class ListenerDrops:
    """Of one listener, since `syn_drop` is attached: by cause and stage, and cookies sent."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    rates: dict[tuple[str, str], float] = field(default_factory=dict)
    cookies: int = 0
    cookies_rate: float = 0.0


@dataclass(frozen=True)
class DropsPicture:
    """What listeners drop; `span_ns` is how long it has been looked at."""

    span_ns: int
    rows: list[DropRow]
    recent: list[Told]  # newest last
    by_listener: dict[int, ListenerDrops]


@dataclass(frozen=True)
class PacketsPicture:
    """What else is dropped; `before` says what died before there was a packet, in words.

    `unsent`: of a screen that is narrowed, how many more were counted that have no record: whose
    they were is not known.
    """

    span_ns: int
    rows: list[DropRow]
    recent: list[Told]
    before: str
    unsent: int


@dataclass(frozen=True)
class BreakRow:
    """RSTs or errors of one process and one cause; `at`, `local` and `peer` are of the last."""

    place: str
    what: str
    why: str
    owner: str
    owner_key: Key
    local: str
    peer: str
    count: int
    rate: float | None
    at: str
    meaning: str


@dataclass(frozen=True)
class BreaksPicture:
    """All of it; `silence` is how long those had been silent that were broken off, in lines."""

    span_ns: int
    rows: list[BreakRow]
    recent: list[tuple[Key, str, str]]  # newest last, by owner: a line, and a short one
    silence: list[str]


@dataclass(frozen=True, eq=False)
class Minute:
    """Handshakes and accepts of the last minute or so: `span_ns` says how much.

    `by_peer` has attempts by process and peer, `by_process` and `rest`, by role alone, those that
    were too many for that. `pending` are the sockets of attempts that went on `pending_ns` ago.
    """

    facts: Facts
    span_ns: int
    accepts: list[Rows]
    by_peer: list[HandshakeTable]
    by_process: list[HandshakeTable]
    rest: list[HandshakeTable]
    pending: Records
    pending_ns: int

    @cached_property
    def waits(self) -> Waits:
        """How long finished connections waited for accept()."""
        return Waits.of(self.accepts)

    def handshakes(self, role: str) -> Spread:
        """How long they took that ended well: of role `ACTIVE` or `PASSIVE`."""
        enums = self.facts.layout.enums
        tables = [*self.by_peer, *self.by_process, *self.rest]
        return spread_of(tables, enums["role"][role], enums["outcome"][WELL])

    def folded(self) -> tuple[int, int]:
        """Attempts whose peer, and whose process too, was not kept."""
        peers, processes = (
            sum(int(table.rows()[1][:, 0].sum()) for table in tables)
            for tables in (self.by_process, self.rest)
        )
        return peers, processes


@dataclass(frozen=True)
class Parts:
    """What the panes show; `change` is what was attached or detached last. None: not attached.

    `shares` are those of the last minute's records that came, by kind, where some were lost;
    `shares_of_all` those since the screen was narrowed last. Of dropped packets there are records
    since `packets_since_ns`, but for those `limited`, in all.
    """

    change: str = ""
    packets_since_ns: int | None = None
    packets_limited: int = 0
    drops: DropsPicture | None = None
    packets: PacketsPicture | None = None
    why_off: dict[str, str] = field(default_factory=dict)  # of subjects that could not be attached
    breaks: BreaksPicture | None = None
    minute: Minute | None = None
    listeners: dict[int, Listener] = field(default_factory=dict)
    holders: Records | None = None
    shares: dict[str, Share] = field(default_factory=dict)
    shares_of_all: dict[str, Share] = field(default_factory=dict)
    advice: AdvicePicture | None = None
