"""What a record says, column by column: the one place for names, order and units of all exports.

Scripts depend on them: columns are added, never renamed. A column is a name and a function of
(row, facts); JSON, CSV and the event lines all read these.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import errorcode
from typing import Any

import numpy as np

from tracer.attribution.cgroups import container_of
from tracer.attribution.names import Names, service
from tracer.attribution.processes import Process, ProcessTable
from tracer.flows.local_drops import LocalDrops
from tracer.views.calls import Calls
from tracer.views.drop_columns import DROP
from tracer.views.ended_columns import ENDED
from tracer.views.resent_columns import RESENT
from tracer.views.reset_columns import ERROR, RESET
from tracer.views.text import Clock, address, endpoint, escape
from tracer.wire.layout import Layout, Records

Row = Any  # a namedtuple with the fields of one kind's dtype


@dataclass
class Facts:
    """What a row must be read with: names of numbers, processes, control groups, the clock."""

    layout: Layout
    processes: ProcessTable
    clock: Clock
    cgroups: dict[int, str] = field(default_factory=dict)
    initial_pids: bool = True
    drops: LocalDrops = field(default_factory=LocalDrops)
    holders: Records | None = None  # descriptors of listening sockets, as of the last look
    names: Names | None = None  # with --names
    reset_reasons: dict[int, str] = field(default_factory=dict)  # the kernel's, see Head
    # of the running kernel, where packets that it throws away are looked at
    reasons: dict[int, str] = field(default_factory=dict)
    subsystems: dict[int, str] = field(default_factory=dict)
    code: dict[int, str] = field(default_factory=dict)
    calls: Calls = field(default_factory=Calls)

    def __post_init__(self) -> None:
        names = self.layout.names
        self.states = names["tcp_state"]
        self.owners = {value: name.lower() for value, name in names["owner_is"].items()}
        if not self.initial_pids:
            # whom no look from inside finds may as well run outside
            self.owners[self.layout.enums["owner_is"]["KERNEL"]] = "unknown"
        self.kinds = {value: name.lower() for value, name in names["kind"].items()}
        self.precisions = {value: name.lower() for value, name in names["precision"].items()}
        lower = {
            # a recording of an earlier version lacks what came later
            enum: {value: name.lower() for value, name in names.get(enum, {}).items()}
            for enum in (
                *("role", "outcome", "latency_from", "cause", "stage", "answer"),
                *("closed_by", "end", "reset_way", "reset_by", "answers", "resend"),
                *("direction", "owner_from"),
            )
        }
        self.roles, self.outcomes = lower["role"], lower["outcome"]
        self.latencies: dict[int, str | None] = dict(lower["latency_from"])
        self.latencies[0] = None
        self.causes, self.stages, self.answers = lower["cause"], lower["stage"], lower["answer"]
        self.closers, self.ends = lower["closed_by"], lower["end"]
        self.reset_ways, self.reset_bys = lower["reset_way"], lower["reset_by"]
        self.answered = lower["answers"]
        self.resends = lower["resend"]
        self.directions, self.owners_from = lower["direction"], lower["owner_from"]
        self.exact = self.layout.enums["dwell_is"]["EXACT"]

    def seen_as(self, tgid: int) -> int | None:
        """A PID as the tracer's PID namespace has it; in the initial one that is the same."""
        return tgid if self.initial_pids else self.processes.local(tgid)

    def process(self, pid: int, start: int) -> Process | None:
        """The process, if it is known."""
        return self.processes.find(pid, start)

    def host(self, text: str) -> str:
        """An address, or with --names its name."""
        if self.names is None or text == "*":
            return text
        return escape(self.names.host(text))

    def endpoint(self, text: str, port: int | None) -> str:
        """Address and port, or with --names their names."""
        named = service(port) if self.names and port else None
        return endpoint(self.host(text), named or port)

    def reason(self, number: int) -> str:
        """Why the kernel threw a packet away, by its name, or by the subsystem and a number."""
        known = self.reasons.get(number)
        if known is not None:
            return known
        subsystem = self.subsystems.get(number >> 16) if number >> 16 else None
        return f"{subsystem}:{number & 0xFFFF}" if subsystem else str(number)

    def function(self, address: int) -> str | None:
        """The kernel's function that an address lies in."""
        found = self.code.get(address)
        return found.partition("+")[0] if found else None

    def local_reason(self, row: Row) -> str | None:
        """Why a listener here dropped a packet of this attempt, if it was told that it did."""
        cause = self.drops.cause(row, self.roles[row.role] == "active")
        return None if cause is None else self.causes[cause]


def rows(records: Records, name: str) -> list[Row]:
    """Records as named tuples of plain Python values; addresses as 16 bytes."""
    fields = {
        column: found
        for column, found in (records.dtype.fields or {}).items()
        if not column.startswith("_")
    }
    formats = [_as_bytes(fields[column][0]) for column in fields]
    dtype = np.dtype(
        {
            "names": list(fields),
            "formats": formats,
            "offsets": [fields[column][1] for column in fields],
            "itemsize": records.dtype.itemsize,
        }
    )
    make: Callable[[Any], Row] = getattr(namedtuple(name, list(fields)), "_make")  # noqa: B009
    return [make(row) for row in np.ascontiguousarray(records).view(dtype).tolist()]


def _as_bytes(form: np.dtype[np.generic]) -> object:
    """A run of bytes as one value, everything else as it is."""
    return f"V{form.itemsize}" if form.shape and form.base == np.uint8 else form


def _pid(row: Row, facts: Facts) -> int | None:
    if not row.pid:
        return None
    process = facts.process(row.pid, row.start)
    return process.pid if process else facts.seen_as(row.pid)


def _comm(row: Row, facts: Facts) -> str | None:
    process = facts.process(row.pid, row.start)
    return process.comm if process else None


def owner_is(row: Row, facts: Facts) -> str:
    """How the owner is one; `exited` once the process is gone and no longer acts itself."""
    process = facts.process(row.pid, row.start)
    if (
        process
        and process.exited_ns
        and row.mono_ns > process.exited_ns
        and (row.oncpu_pid != row.pid or facts.processes.is_reused(row.pid, row.start))
    ):
        return "exited"
    return facts.owners[row.owner_is]


def _us(ns: int) -> float | int:
    """Microseconds with the nanoseconds kept: 8723 ns is 8.723."""
    whole, rest = divmod(ns, 1000)
    return ns / 1000 if rest else whole


def _cgroup(row: Row, facts: Facts) -> str | None:
    return facts.cgroups.get(row.cgroup_id)


Column = Callable[[Row, Facts], object]

HEAD: dict[str, Column] = {
    "ts": lambda row, facts: facts.clock.iso(row.mono_ns),
    "mono_ns": lambda row, facts: row.mono_ns,
    "kind": lambda row, facts: facts.kinds[row.kind],
    "cookie": lambda row, facts: f"{row.cookie:x}" if row.cookie else None,
    "pid": _pid,
    "comm": _comm,
    "owner_is": owner_is,
    "oncpu_pid": lambda row, facts: facts.seen_as(row.oncpu_pid),
    "family": lambda row, facts: row.family,
    "laddr": lambda row, facts: address(row.laddr),
    "lport": lambda row, facts: row.lport or None,
    "raddr": lambda row, facts: address(row.raddr),
    "rport": lambda row, facts: row.rport or None,
    "netns": lambda row, facts: row.netns,
    "cgroup": _cgroup,
    "cgroup_id": lambda row, facts: row.cgroup_id or None,
    "container": lambda row, facts: container_of(_cgroup(row, facts)),
}


def _dwell(row: Row, facts: Facts) -> float | None:
    return _us(row.dwell_ns) if row.dwell_is == facts.exact else None


def _dwell_at_least(row: Row, facts: Facts) -> float | None:
    return _us(row.dwell_ns) if row.dwell_is != facts.exact and row.dwell_ns else None


STATE: dict[str, Column] = {
    "old": lambda row, facts: facts.states[row.old],
    "new": lambda row, facts: facts.states[row.new],
    "dwell_us": _dwell,
    "dwell_at_least_us": _dwell_at_least,
    "timewait": lambda row, facts: facts.states[row.timewait] if row.timewait else None,
}


def _listener_comm(row: Row, facts: Facts) -> str | None:
    process = facts.process(row.listener_pid, row.listener_start)
    return process.comm if process else None


def _listener_pid(row: Row, facts: Facts) -> int | None:
    process = facts.process(row.listener_pid, row.listener_start)
    return process.pid if process else None


ACCEPT: dict[str, Column] = {
    "wait_us": lambda row, facts: _us(row.wait_ns) if row.established_ns else None,
    "wait_at_least_us": lambda row, facts: (
        _us(row.wait_ns) if row.wait_ns and not row.established_ns else None
    ),
    "established": lambda row, facts: (
        facts.clock.iso(row.established_ns) if row.established_ns else None
    ),
    "handshake_us": lambda row, facts: row.handshake_us or None,
    "accept_queue": lambda row, facts: row.accept_queue if row.accept_queue_max else None,
    "accept_queue_max": lambda row, facts: row.accept_queue_max or None,
    "errno": lambda row, facts: errorcode.get(row.error) if row.error else None,
    "listener_addr": lambda row, facts: address(row.listener_addr) if row.listener_port else None,
    "listener_port": lambda row, facts: row.listener_port or None,
    "listener_pid": _listener_pid,
    "listener_comm": _listener_comm,
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
    "precision": lambda row, facts: facts.precisions[row.precision],
}

HANDSHAKE: dict[str, Column] = {
    "role": lambda row, facts: facts.roles[row.role],
    "outcome": lambda row, facts: facts.outcomes[row.outcome],
    "latency_us": lambda row, facts: _us(row.latency_ns) if row.latency_from else None,
    "latency_at_least_us": lambda row, facts: (
        _us(row.latency_ns) if row.latency_ns and not row.latency_from else None
    ),
    "latency_from": lambda row, facts: facts.latencies[row.latency_from],
    "rtt_us": lambda row, facts: row.rtt_us or None,
    "syn_sent": lambda row, facts: row.syn_sent,
    "syn_retransmits": lambda row, facts: row.syn_retransmits,
    "errno": lambda row, facts: errorcode.get(row.error) if row.error else None,
    "syncookie": lambda row, facts: (False, True, None)[row.syncookie],
    "local_reason": lambda row, facts: facts.local_reason(row),
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
}

SYN_DROP: dict[str, Column] = {
    "cause": lambda row, facts: facts.causes[row.cause],
    "stage": lambda row, facts: facts.stages[row.stage],
    "answer": lambda row, facts: facts.answers[row.answer],
    "accept_queue": lambda row, facts: row.accept_queue,
    "accept_queue_max": lambda row, facts: row.accept_queue_max,
    "syn_queue": lambda row, facts: row.syn_queue,
    "syn_queue_max": lambda row, facts: row.syn_queue_max,
    "count": lambda row, facts: row.count,
    **{name: column for name, column in ACCEPT.items() if name.startswith("listener_")},
}

EVENTS: dict[str, dict[str, Column]] = {
    "state": HEAD | STATE,
    "accept": HEAD | ACCEPT,
    "handshake": HEAD | HANDSHAKE,
    "syn_drop": HEAD | SYN_DROP,
    "connection": HEAD | ENDED,
    "reset": HEAD | RESET,
    "error": HEAD | ERROR,
    "retransmit": HEAD | RESENT,
    "drop": HEAD | DROP,
}

LOST = ("ts", "mono_ns", "kind", "count", "why", "of")


def document(kind: str, row: Row, facts: Facts) -> dict[str, object]:
    """One record by column name, in the order of all exports."""
    return {name: column(row, facts) for name, column in EVENTS[kind].items()}


def csv_header(kinds: list[str]) -> list[str]:
    """Columns of all these kinds, each once."""
    names: dict[str, None] = {}
    for kind in kinds:
        names.update(dict.fromkeys(EVENTS[kind]))
    names.update(dict.fromkeys(LOST))
    return list(names)
