"""What rules judge by: plain values, each as it was counted or looked at; None is not known."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.advice.lasting import Forgotten, HalfClosed, Ownerless, Receiving, Silent, Unheard
from tracer.advice.owner import Owner as Owner


@dataclass(frozen=True)
class Closing:
    """Sockets of one process whose peer has closed: those in CLOSE_WAIT that it has accepted.

    `stayed` and `left`: of the first look's, those that still are in it and those that are not;
    without a first look `before` is None. Ages are of those that are in it now, lower bounds unless
    `is_exact`; `old` are in it for 10 s or more, `older` for 60 s. `unread`: with bytes that nobody
    has read.
    """

    owner: Owner
    count: int
    old: int
    older: int
    oldest_s: float
    unread: int
    is_exact: bool = False
    before: int | None = None
    stayed: int = 0
    left: int = 0
    netns: int | None = None


@dataclass(frozen=True)
class Wait:
    """How long connections waited for accept(), s."""

    count: int
    p50: float
    p99: float
    most: float


@dataclass(frozen=True)
class Listening:
    """A listening socket and its queues over the span; of one look alone, as they stand.

    `set_by`: listen or somaxconn, whichever is the limit.
    """

    name: str
    owner: Owner
    netns: int
    port: int
    limit: int
    queue: int | None = None
    set_by: str | None = None
    somaxconn: int | None = None
    peak: int = 0
    full_s: float = 0.0
    overflows: int = 0
    finished: int = 0
    accepts: int = 0
    drops: dict[str, int] = field(default_factory=dict)  # by cause
    cookies: int = 0
    syn_queue: int = 0
    syn_peak: int | None = None
    max_syn_backlog: int | None = None
    syncookies: int | None = None
    wait: Wait | None = None


@dataclass(frozen=True)
class Refused:
    """Calls of accept() that one process made on one listener, and that failed by one errno."""

    owner: Owner
    name: str
    error: str
    count: int
    netns: int | None = None


@dataclass(frozen=True)
class Unread:
    """Connections of one process on which much waits and nothing was read between two looks.

    `unread`, `largest` are bytes at the last look, of all and of one; `grown` came meanwhile.
    """

    owner: Owner
    count: int
    unread: int
    largest: int
    grown: int
    netns: int | None = None


@dataclass(frozen=True)
class HeldBack:
    """Connections of one process that had data and might not send, for most of the span.

    `by`: rwnd, the peer's window, or sndbuf, the own buffer. `limited_s`, `srtt_s` and `peer` are
    of the one that was so the longest; `per_s`: bytes a second that they sent, together.
    """

    owner: Owner
    by: str
    peer: str
    count: int
    limited_s: float
    per_s: float
    srtt_s: float
    netns: int | None = None


@dataclass(frozen=True)
class Attempted:
    """Attempts of one process to connect to one address and port, by how they ended.

    `outcomes` are named as enum tt_outcome is, in small letters; `again`: SYNs sent again.
    """

    owner: Owner
    host: str
    port: int
    outcomes: dict[str, int]
    again: int = 0
    netns: int | None = None

    @property
    def peer(self) -> str:
        """As people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Space:
    """A network namespace: by how much its counters grew over the span, and its settings.

    `time_wait`: sockets in it at the last look; None: there was none.
    """

    netns: int
    name: str
    grown: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    time_wait: int | None = None


@dataclass(frozen=True)
class PortUse:
    """Ephemeral ports of one source address for one destination: see tracer/flows/ports.py."""

    local: str
    remote: str
    owner: Owner
    netns: int
    in_use: int
    time_wait: int
    ports: int
    range: str
    reused: bool
    opens_per_s: float | None = None
    exhausted_in_s: float | None = None
    failures: int = 0

    @property
    def free(self) -> int:
        """Neither in use nor in TIME_WAIT."""
        return max(0, self.ports - self.in_use - self.time_wait)


@dataclass(frozen=True)
class Evidence:
    """All of it. `span_s` None: one look. `has` names what was looked at at all.

    `looks_s`: from the first look at connections to the last, in `span_s`; None: there are no two.
    """

    span_s: float | None
    has: frozenset[str]
    looks_s: float | None = None
    closings: tuple[Closing, ...] = ()
    listenings: tuple[Listening, ...] = ()
    ports: tuple[PortUse, ...] = ()
    refused: tuple[Refused, ...] = ()
    unread: tuple[Unread, ...] = ()
    held_back: tuple[HeldBack, ...] = ()
    attempted: tuple[Attempted, ...] = ()
    spaces: tuple[Space, ...] = ()
    silent: tuple[Silent, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    half_closed: tuple[HalfClosed, ...] = ()
    ownerless: tuple[Ownerless, ...] = ()
    receiving: tuple[Receiving, ...] = ()
    unheard: tuple[Unheard, ...] = ()

    @property
    def span(self) -> str:
        """`in 10 s`, `at one look`."""
        return _in(self.span_s)

    @property
    def between(self) -> str:
        """The same of what two looks at connections show."""
        return _in(self.looks_s)


def _in(seconds: float | None) -> str:
    return "at one look" if seconds is None else f"in {seconds:.3g} s"
