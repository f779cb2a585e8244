"""Rows of the panes that list few things: owners of sockets, and listening sockets."""

from __future__ import annotations

from tracer.attribution.cgroups import container_of
from tracer.flows.listeners import Listener
from tracer.flows.pulse import Pulse
from tracer.flows.sockets import Owner
from tracer.views.columns import Facts
from tracer.views.listeners import ANY, max_set_by
from tracer.views.live.picture import ListenerRow, ProcessRow
from tracer.views.text import address, endpoint, escape


def named(key: Owner, facts: Facts) -> str:
    """`gunicorn[2207]`, `-` where nothing is known of it."""
    process = facts.process(*key)
    return "-" if process is None else f"{escape(process.comm)}[{process.pid or '-'}]"


def listener_row(
    one: Listener, seconds: float, peak: int, drops: float | None, facts: Facts
) -> ListenerRow:
    """One listening socket over so many seconds, 0: as one look found it."""
    row = one.row
    host = bytes(row["addr"])
    key = int(row["pid"]), int(row["start"])
    return ListenerRow(
        cookie=int(row["cookie"]),
        name=endpoint("*" if host in ANY else address(host), int(row["port"])),
        owner=named(key, facts),
        owner_key=key,
        queue=int(row["accept_queue"]),
        peak=peak,
        limit=int(row["accept_queue_max"]),
        set_by=max_set_by(row) or "-",
        full=min(1.0, one.counted["full_ns"] / (seconds * 1e9)) if seconds else None,
        syn_queue=int(row["syn_queue"]),
        accepts=one.counted["accepts"] / seconds if seconds else None,
        drops=drops,
    )


def process_rows(
    counted: dict[Owner, dict[int, int]],
    listeners: list[ListenerRow],
    pulse: Pulse,
    rated: bool,
    facts: Facts,
) -> list[ProcessRow]:
    """Owners by their sockets by state, those in trouble first. `rated`: an interval has passed."""
    deepest: dict[Owner, ListenerRow] = {}
    for row in listeners:
        if row.owner_key not in deepest or row.queue > deepest[row.owner_key].queue:
            deepest[row.owner_key] = row
    found = []
    for key, counts in counted.items():
        process = facts.process(*key)
        gone = "(exited) " if process and process.exited_ns else ""
        queue = deepest.get(key)
        path = facts.cgroups.get(process.cgroup_id) if process else None
        now = {facts.states[state]: count for state, count in counts.items()}
        fails = pulse.fails.get(key, 0.0) if rated else None
        found.append(
            ProcessRow(
                key=key,
                pid=str(process.pid or "-") if process else "-",
                name=gone + escape(process.comm) if process else "(unknown)",
                container=escape(container_of(path) or "-"),
                now=now,
                opens=pulse.opens.get(key, 0.0) if rated else None,
                fails=fails,
                queue=f"{queue.queue}/{queue.limit}" if queue else "-",
                trouble=_trouble(now, fails, queue, bool(gone)),
            )
        )
    return sorted(found, key=_rank)


def _trouble(
    now: dict[str, int], fails: float | None, queue: ListenerRow | None, gone: bool
) -> str:
    if queue and queue.is_full:
        return "queue full"
    if fails:
        return "connects fail"
    if now.get("CLOSE_WAIT", 0) > max(10, now.get("ESTABLISHED", 0)):
        return "CLOSE_WAIT"
    if gone and set(now) - {"TIME_WAIT"}:
        return "orphan"
    return ""


def _rank(row: ProcessRow) -> tuple[bool, float, int, str]:
    return (not row.trouble, -(row.opens or 0), -row.sockets, row.name)
