"""What a view is told. A view overrides what it wants to know of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracer.flows.devices import Devices
from tracer.flows.packet_filters import PacketFilters
from tracer.flows.tally import Lost, Outcome, Tally
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.cost import KernelCost
from tracer.wire.head import Attachment, Head
from tracer.wire.layout import Records
from tracer.wire.made import Made


class View:
    """Shows a session, live or recorded. Every call is about a whole batch, never one event.

    One that looks at no records sets `wants_records` to False, and none are sorted for it. `needs`
    names what of it a recording must keep (see Head.keeps) for there to be something to show.
    `kinds` are those it looks at, if not all: of a recording it is shown no others, and no others
    count as matched; likewise of a snapshot listening sockets, if it does not want them.
    Of those in `also` it is shown what there is, and none is no matter.
    """

    wants_records = True
    wants_listeners = True
    wants_sysctls = False  # of a snapshot, as are those that follow
    wants_descriptors = False
    wants_queues = False  # those of listening sockets, and no other sockets
    gathers = True  # shows nothing for a while: on a terminal it is told how far it is
    needs: tuple[str, ...] = ()
    kinds: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    may_lack: frozenset[str] = frozenset()  # of `kinds`: one of these is enough in a recording

    def begin(self, facts: Facts, head: Head) -> None:
        """The session begins; `facts` grow while it goes on."""

    def batch(self, batch: Batch) -> None:
        """Records in time order."""

    def lost(self, lost: list[Lost]) -> None:
        """Records that did not come."""

    def counts(self, keys: Records, values: Records) -> None:
        """The kernel's counts by owner, from the session's begin."""

    def counted(self, stats: Records) -> None:
        """The kernel's counters of what passed its filters, `stats`, from the session's begin.

        Neither these nor `moves` are told of a recording that is shown with filters of its own.
        """

    def moves(self, keys: Records, values: Records) -> None:
        """Transitions by owner since the last time, whether their records came or not."""

    def sockets(self, rows: Records) -> None:
        """A pass over the sockets."""

    def all_sockets(self, rows: Records, chosen: NDArray[np.bool_]) -> None:
        """The same pass with what the filters leave out; which are left."""

    def not_looked(self) -> None:
        """There was no last pass: what sockets there are at the end is not known."""

    def sysctls(self, found: dict[int, dict[str, str]]) -> None:
        """Settings of TCP by namespace: before the passes that they are to be read with."""

    def connections(self, rows: Records, now_ns: int) -> None:
        """A pass over what is open, `open_row`, that began at this moment (CLOCK_MONOTONIC).

        Those of a snapshot have the TIME_WAIT ones as well.
        """

    def listeners(self, rows: Records) -> None:
        """Listening sockets as they stand, and those closed since the last time."""

    def descriptors(self, found: dict[tuple[int, int], tuple[int, int]]) -> None:
        """Descriptors in use, and the limit, of processes (tgid, start) that had none left."""

    def all_descriptors(self, found: dict[tuple[int, int], tuple[int, int]]) -> None:
        """The same of who listens, or has not closed what its peers have; before the last pass."""

    def made(self, found: Made) -> None:
        """Where sockets were made that are not closed: at the end, after the last pass."""

    def drops(self, pairs: Records, filtered: bool) -> None:
        """What listeners threw away, from the session's begin.

        `filtered`: whether `matched` says what the filters say; a recording's counts cannot be
        narrowed further, its records can.
        """

    def packets(self, pairs: Records, rest: NDArray[np.uint64], filtered: bool) -> None:
        """What else the kernel threw away, from the session's begin; `filtered` as for drops.

        `rest`: how many there was no room for, by reason, each in eight parts: 4 a SYN, 2 told as a
        drop of a listener's too, 1 matched.
        """

    def resets(self, pairs: Records) -> None:
        """RSTs by the kernel's own count, from the session's begin: pairs of key and value.

        Not told of a recording that is shown with filters of its own.
        """

    def devices(self, found: Devices) -> None:
        """What devices and CPUs counted as lost, as it stands: at the begin, each mark, the end."""

    def packet_filters(self, found: PacketFilters) -> None:
        """Rules of packet filters, with their counters as they stand: at the begin and the end."""

    def attached(self, change: Attachment) -> None:
        """A subject was attached, or detached, meanwhile; what is counted of it begins with that.

        Its last counts come before it is told to be off.
        """

    def cost(self, taken: KernelCost | None) -> None:
        """What the programs took since the last time, where that is measured; None: it is over."""

    def kernel(self, counters: dict[int, dict[str, int]]) -> None:
        """The kernel's own counters by namespace: at the begin, at each mark, at the end."""

    def edge(self, moved: dict[int, dict[str, int]]) -> None:
        """How far those moved while that moment passed: within the span or not, nobody can say."""

    def unrecorded(self, counts: dict[int, dict[str, int]]) -> None:
        """What the kernel counted of handshakes and no record tells of, from the session's begin.

        By namespace and counter; of namespace 0 is what found no room in its own.
        """

    def gate(self, ended_ns: int) -> None:
        """The session ends: what ends after `ended_ns` is told of, if it was in flight then."""

    def tick(self, now_ns: int) -> None:
        """What happened until the tick before this one (CLOCK_MONOTONIC, ns) has been told."""

    def mark(self, now_ns: int, tally: Tally) -> None:
        """An interval ends, or an interim summary is asked for."""

    def notice(self, text: str) -> None:
        """Something to tell beside the results."""

    def end(self, outcome: Outcome) -> None:
        """The session is over."""
