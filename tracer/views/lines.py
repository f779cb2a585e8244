"""Event lines: one record a line, in time order, for terminals, pipes and files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import errorcode

from tracer.views import ended_words, resent_words, reset_words
from tracer.views.columns import Facts, Row, owner_is
from tracer.views.drop_columns import flags, is_expected_drop
from tracer.views.tables import Column
from tracer.views.text import address, duration, escape


@dataclass(frozen=True)
class Event:
    """A record, and what it must be read with."""

    kind: str
    row: Row
    facts: Facts

    def local(self) -> str:
        """Where it is here."""
        return self.facts.endpoint(address(self.row.laddr), self.row.lport)

    def remote(self) -> str | None:
        """Where the other side is, if it has one."""
        row = self.row
        if not _has_peer(row):
            return None
        return self.facts.endpoint(address(row.raddr), row.rport)


COLUMNS: tuple[Column[Event], ...] = (
    Column("TIME", lambda e: e.facts.clock.time(e.row.mono_ns), words=True, width=15),
    Column("KIND", lambda e: e.kind, words=True, width=10),
    Column("LOCAL", Event.local, words=True, width=21),
    Column("REMOTE", Event.remote, words=True, width=21),
    Column("PROCESS", lambda e: owner(e.row, e.facts), words=True, width=24),
    Column("EVENT", lambda e: _WHAT[e.kind](e.row, e.facts), words=True),
)


def line(kind: str, row: Row, facts: Facts) -> str:
    """One record as a line, without its end."""
    event = Event(kind, row, facts)
    return join([column.cell(event) for column in COLUMNS], COLUMNS)


def join(cells: Sequence[str], columns: Sequence[Column[Event]]) -> str:
    """Cells as a line, without its end: each as wide as its column, or wider."""
    padded = [
        cell.rjust(column.width) if column.is_number else cell.ljust(column.width)
        for cell, column in zip(cells, columns, strict=True)
    ]
    return " ".join(padded).rstrip()


def what(kind: str, row: Row, facts: Facts) -> str:
    """What happened, without when and to whom."""
    return _WHAT[kind](row, facts)


def _has_peer(row: Row) -> bool:
    return bool(row.rport or row.raddr.strip(b"\0\xff"))


def owner(row: Row, facts: Facts) -> str:
    """`gunicorn[2207]`; in front, in brackets, what kind of owner that is if it is not plain."""
    process = facts.process(row.pid, row.start)
    how = owner_is(row, facts)
    if process is None:
        if how in ("kernel", "unknown"):
            return "(kernel)" if how == "kernel" else "-"
        return f"[{facts.seen_as(row.pid) or '-'}]"
    name = f"{escape(process.comm)}[{process.pid or '-'}]"
    return name if how == "process" else f"{name} ({how})"


def _state(row: Row, facts: Facts) -> str:
    new = facts.states[row.timewait] if row.timewait else facts.states[row.new]
    text = f"{facts.states[row.old]} -> {new}"
    if row.timewait and facts.states[row.timewait] == "FIN_WAIT2":
        text = f"{facts.states[row.old]} -> FIN_WAIT2 (mini-socket)"
    if not row.dwell_ns or facts.states[row.old] == "CLOSE":
        return text
    bound = "" if row.dwell_is == facts.exact else ">="
    return f"{text}  after {bound}{duration(row.dwell_ns)}"


def _wait(row: Row, facts: Facts) -> str:
    if row.established_ns:
        bound = "<=" if facts.precisions[row.precision] == "first_io" else ""
        return bound + duration(row.wait_ns)
    return f">={duration(row.wait_ns)}" if row.wait_ns else "-"


def _accept(row: Row, facts: Facts) -> str:
    if row.error:
        return f"failed: {errorcode.get(row.error, row.error)}"
    text = f"waited {_wait(row, facts)}"
    if row.accept_queue_max:
        text += f"  {row.accept_queue} of {row.accept_queue_max} still wait"
    if row.listener_pid and row.listener_pid != row.pid:
        listener = facts.process(row.listener_pid, row.listener_start)
        if listener:
            text += f"  of {escape(listener.comm)}[{listener.pid or '-'}]"
    return text


def _handshake(row: Row, facts: Facts) -> str:
    text = f"{facts.roles[row.role]} {facts.outcomes[row.outcome].replace('_', ' ')}"
    if row.latency_from:
        text += f" in {duration(row.latency_ns)}"
    elif row.latency_ns:
        text += f" after >={duration(row.latency_ns)}"
    if facts.latencies[row.latency_from] == "synack":
        text += " from the SYN-ACK"
    if row.error:
        text += f"  {errorcode.get(row.error, row.error)}"
    if row.syn_retransmits:
        what = "SYN" if facts.roles[row.role] == "active" else "SYN-ACK"
        text += f"  {row.syn_retransmits} {what} sent again"
        if row.rtt_us:
            text += f" + {duration(row.rtt_us * 1000)}"
    reason = facts.local_reason(row)
    if reason:
        text += f"  dropped here: {reason}"
    return text + ("  by syncookie" if row.syncookie == 1 else "")


def _syn_drop(row: Row, facts: Facts) -> str:
    text = f"{facts.causes[row.cause]} at {facts.stages[row.stage]}"
    text += f"  queue {row.accept_queue}/{row.accept_queue_max}"
    text += f"  syn {row.syn_queue}/{row.syn_queue_max}"
    if row.count > 1:
        text += f"  {row.count} packets"
    return text + ("  answered with RST" if row.answer else "")


def _drop(row: Row, facts: Facts) -> str:
    text = f"{facts.reason(row.reason)} at {facts.code.get(row.location, '-')}"
    text += f"  {facts.directions[row.direction]}"
    if row.dev:
        text += f" {escape(row.dev.decode('utf-8', 'replace'))}"
    text += f"  {flags(row.tcp_flags) or 'no flags'}  {row.length} bytes"
    return text + ("  (expected)" if is_expected_drop(row, facts) else "")


_WHAT: dict[str, Callable[[Row, Facts], str]] = {
    "state": _state,
    "accept": _accept,
    "handshake": _handshake,
    "syn_drop": _syn_drop,
    "connection": ended_words.text,
    "reset": reset_words.reset,
    "error": reset_words.error,
    "retransmit": resent_words.text,
    "drop": _drop,
}
