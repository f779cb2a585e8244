"""Evidence of what lasts: connections that are silent, that do not end, that read too little."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.advice.owner import Owner


@dataclass(frozen=True)
class Silent:
    """Connections of one process that leave the machine and over which nothing goes for long.

    `without` send no keepalive probes, `late` send the first one after two hours; both are of the
    `count` that were silent for a minute or more. `longest_s` and `peer` are of the one that was so
    the longest. Those that ended as nobody answered any more, over the span: `probed`, to keepalive
    probes, and `unanswered`, to data.
    """

    owner: Owner
    count: int = 0
    without: int = 0
    late: int = 0
    longest_s: float = 0.0
    peer: str = ""
    probed: int = 0
    unanswered: int = 0
    netns: int | None = None


@dataclass(frozen=True)
class Forgotten:
    """Connections of one process that were reset after a silence that most of them share.

    `count` of its `of` RSTs that came; `after_s`: how long nothing had come before. Of those that
    were looked at before: `known`, of which `probing` send keepalive probes, the soonest after
    `probe_s` of silence.
    """

    owner: Owner
    peer: str
    count: int
    of: int
    after_s: float
    known: int = 0
    probing: int = 0
    probe_s: float | None = None
    netns: int | None = None


@dataclass(frozen=True)
class HalfClosed:
    """Connections that one process has shut down, and whose peers do not close: in FIN_WAIT2.

    It holds their descriptors, so nothing ends them. `kept` were there at both looks, and nothing
    came meanwhile; `longest_s`: since something came, of the one that is silent the longest.
    """

    owner: Owner
    count: int
    kept: int
    longest_s: float
    peer: str
    netns: int | None = None


@dataclass(frozen=True)
class Ownerless:
    """Connections of one namespace that no process has any more, and that were there twice.

    `waiting` are in FIN_WAIT2, for the peer's FIN; `unacknowledged` in FIN_WAIT1, CLOSING or
    LAST_ACK, for an ACK of what was sent. `orphans`: all that count as such at the last look.
    """

    netns: int
    name: str
    waiting: int
    unacknowledged: int
    orphans: int
    fin_timeout_s: int | None = None
    max_orphans: int | None = None


@dataclass(frozen=True)
class Receiving:
    """A connection that got a window's worth in each round trip, and whose process reads.

    `window` is the largest that was offered, `buffer` what the socket may hold; `is_set`: by
    SO_RCVBUF. `count` connections of this process are so, of which this one got the most.
    """

    owner: Owner
    peer: str
    count: int
    per_s: float
    rtt_s: float
    window: int
    buffer: int
    is_set: bool
    grows: bool | None = None  # net.ipv4.tcp_moderate_rcvbuf
    most: int | None = None  # the third value of net.ipv4.tcp_rmem
    collapsed: int = 0  # segments, in its namespace
    pruned: int = 0  # receive queues, likewise
    netns: int | None = None


@dataclass(frozen=True)
class Unheard:
    """Times in which nobody listened on a port and somebody called: how many, how long together.

    `closed_by` closed the listener of the longest one, `opened_by` the next; None: there is none
    yet. `refused` SYNs came meanwhile; `reset` connections had waited for accept().
    """

    port: int
    closed_by: Owner
    opened_by: Owner | None
    count: int
    longest_s: float
    whole_s: float
    refused: int
    reset: int
    netns: int | None = None
