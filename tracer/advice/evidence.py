"""What rules judge by: plain values, each as it was counted or looked at; None is not known."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.advice.filtered import Filtered as Filtered
from tracer.advice.filtered import Refusing as Refusing
from tracer.advice.lasting import Forgotten, HalfClosed, Ownerless, Receiving, Silent, Unheard
from tracer.advice.owner import Owner as Owner


@dataclass(frozen=True)
class MadeAt:
    """So many sockets were made in one place: `how`, accepted or connected; `way`, from where on.

    `way` is safe to show: `function+0x1f (/its/file) <- its caller+0x2c`.
    """

    count: int
    how: str
    way: str


AGES_S = (10, 60, 600, 3600)


@dataclass(frozen=True)
class Closing:
    """Sockets of one process whose peer has closed: those in CLOSE_WAIT that it has accepted.

    `stayed` and `left`: of the first look's, those that still are in it and those that are not;
    without a first look `before` is None. Ages are of those that are in it now, lower bounds unless
    `is_exact`; `old` are in it for 10 s or more, `older` for 60 s. `unread`: with bytes that nobody
    has read. `spread`: how many are in it for how long, parted at AGES_S. `made`: where those were
    made that are in it for 2 s or more, as far as that is known, which it is not of `unmade`, nor
    all outer calls of `cut`; None: nobody asked. `unkept`: sockets, of anybody, of which there was
    no room to keep it.
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
    spread: tuple[int, ...] = ()  # how many are in it for how long, as AGES_S parts them
    made: tuple[MadeAt, ...] | None = None
    unmade: int = 0
    cut: int = 0
    unkept: int = 0


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
    """Connections of one process that sent nothing for most of the span.

    `by`: rwnd, the peer's window, or sndbuf, the own buffer, as there was data; application, as
    there was none, of those that carry much. `limited_s`, `srtt_s` and `peer` are of the one that
    was so the longest; `per_s`: bytes a second that they sent, together.
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
class BrokenOff:
    """Connections of one process with one peer's address that ended by a RST while in use.

    `received`: begun here, and the RST came less than a second after something else had. Sent, as
    the application closed them: `unread`, with bytes that it had not read, `late`, as more came
    after that. `peer` and `port` are of the last one.
    """

    owner: Owner
    peer: str
    host: str
    port: int
    received: int = 0
    unread: int = 0
    late: int = 0
    netns: int | None = None


@dataclass(frozen=True)
class Space:
    """A network namespace: by how much its counters grew over the span, and its settings.

    `time_wait`: sockets in it at the last look; None: there was none. `time_wait_grown`: how many
    more than at the first one. `closers`: who closed first, of those that are in it and known, the
    most frequent first. `tracking`: what connection tracking threw away over the span, by name.
    `resent_to`: the peer's address to which most was sent again over what was open at both looks,
    and how many segments. `dropped`: why packets of TCP were seen dropped, by the kernel's reasons,
    those of packet filters left out, the most frequent first.
    """

    netns: int
    name: str
    grown: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    time_wait: int | None = None
    time_wait_grown: int | None = None
    closers: tuple[tuple[str, int], ...] = ()
    tracking: dict[str, int] = field(default_factory=dict)
    resent_to: tuple[str, int] | None = None
    dropped: tuple[tuple[str, int], ...] = ()

    def begun_per_s(self, span_s: float | None) -> float | None:
        """How many came into TIME_WAIT a second; None: not known."""
        if self.time_wait_grown is None or not span_s:
            return None
        ended = sum(self.grown.get(name, 0) for name in ("TW", "TWRecycled", "TWKilled"))
        return max(0.0, (self.time_wait_grown + ended) / span_s)


@dataclass(frozen=True)
class LostBefore:
    """A device, or a CPU, whose counters of lost packets grew over the span: by how much.

    `device` is safe to show, and empty of a CPU.
    """

    name: str
    device: str
    lost: dict[str, int]
    netns: int | None = None


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
    tw_reuse: str | None = None  # net.ipv4.tcp_tw_reuse
    timestamps: bool = True  # net.ipv4.tcp_timestamps
    local_only: bool = False  # the destination is the loopback's

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
    lost_before: tuple[LostBefore, ...] = ()
    broken_off: tuple[BrokenOff, ...] = ()
    silent: tuple[Silent, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()
    half_closed: tuple[HalfClosed, ...] = ()
    ownerless: tuple[Ownerless, ...] = ()
    receiving: tuple[Receiving, ...] = ()
    unheard: tuple[Unheard, ...] = ()
    filtered: tuple[Filtered, ...] = ()
    unseen: tuple[str, ...] = ()  # what could not be looked at, in words

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
