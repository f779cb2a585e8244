"""What a session is asked to do in the kernel."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.wire.filters import Filters


@dataclass(frozen=True)
class Settings:
    """What to attach and how: fixed for the life of a session."""

    filters: Filters = field(default_factory=Filters)
    stream: bool = True
    count_by_owner: bool = False
    accept_hook: bool = True
    by_bcc: bool = False  # compiled at run time, for kernels without BTF
    attach: str = "auto"  # or a rung, forced where a subject has it
    buffer_pages: int = 0  # 0: as many as BUFFER_BYTES allow, at most MOST_PAGES
    transport: str = "auto"  # perf, ring; auto: ring where this kernel has it
    sockets: int = 131072
    kernel_cost: bool = False
    tell_forks: bool = False  # of every process, with sockets or without: for a recording
    keep_uids: bool = False  # of every socket, though nobody asks for some: for a recording
    snapshots: bool = False  # sockets are looked over: keep who left TIME_WAIT ones behind
    connections: bool = False  # looks at what is open, with all that the kernel keeps of it
    sparing: bool = False  # looks at all sockets are far apart: views keep up from records
    # unless --kind asks for others
    kinds: frozenset[str] = frozenset(
        {"state", "accept", "handshake", "connection", "retransmit", "reset", "error"}
    )
    reconcile: bool = False  # read the kernel's own counters of each namespace beside ours
    devices: bool = False  # read what devices and CPUs count as lost, at the begin and at the end
    sysctls: bool = False  # read the settings of each namespace beside looks at sockets
    packet_filters: bool = False  # read rules and their counters, at the begin and at the end
    descriptors: bool = False  # count those of who listens, or does not close, at the end
    listen_stats: bool = False  # count what happens in the queues of each listener
    stacks: bool = False  # of dropped packets, the kernel's and their owner's
    most_answers: int = 0  # RSTs without a connection that are sent, a second and CPU; 0: all
    count_resets: bool = False  # all of them, whether they are sent or not
    made: bool = False  # where each socket was made: of those that are not closed at the end
    listens: bool = False  # of `state`, where it is not wanted, begin and end of listening alone
    later: frozenset[str] = frozenset()  # kinds that may be asked for while it runs
    hold_children: int | None = None  # 0, 1, 2 as bpf/maps.h has it; None: by this kernel

    @property
    def reads_devices(self) -> bool:
        """Whether counters of devices are read as it begins: sparing sessions do so when asked."""
        return self.devices and not self.sparing

    @property
    def keeps_remains(self) -> bool:
        """Whether it is kept whose those in TIME_WAIT were: looked at, or answering with a RST."""
        return self.snapshots or "reset" in self.wanted

    @property
    def counts_moves(self) -> bool:
        """Whether transitions are counted by owner beside their records, some of which may be lost.

        What is new of that is told at each mark.
        """
        return self.sparing and self.stream

    @property
    def wanted(self) -> frozenset[str]:
        """Kinds of records to make.

        Where packets are told from the begin, so are those of listeners: a final ACK is both, and
        told once by whatever looks at it first.
        """
        asked = self.filters.kinds or self.kinds
        both = self.later & {"syn_drop"} if "drop" in asked else frozenset()
        return (asked | both) - self.filters.excluded.kinds
