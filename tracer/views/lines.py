"""Event lines: one record a line, in time order, for terminals, pipes and files."""

from __future__ import annotations

from tracer.views.columns import Facts, Row, owner_is
from tracer.views.text import address, duration, endpoint, escape

HEADER = f"{'TIME':15} {'KIND':7} {'LOCAL':21} {'REMOTE':21} {'PROCESS':24} EVENT"


def line(kind: str, row: Row, facts: Facts) -> str:
    """One record as a line, without its end."""
    what = _state(row, facts) if kind == "state" else _accept(row, facts)
    local = endpoint(address(row.laddr), row.lport)
    remote = endpoint(address(row.raddr), row.rport) if _has_peer(row) else "-"
    process = owner(row, facts)
    return (
        f"{facts.clock.time(row.mono_ns)} {kind:7} {local:21} {remote:21} {process:24} {what}"
    ).rstrip()


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


def _accept(row: Row, facts: Facts) -> str:
    text = f"waited {duration(row.wait_ns)}" if row.established_ns else "waited -"
    if row.accept_queue_max:
        text += f"  queue {row.accept_queue}/{row.accept_queue_max} left"
    if row.listener_pid and row.listener_pid != row.pid:
        listener = facts.process(row.listener_pid, row.listener_start)
        if listener:
            text += f"  of {escape(listener.comm)}[{listener.pid or '-'}]"
    return text
