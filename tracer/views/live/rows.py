"""Rows of the panes that list few things: owners of sockets, and listening sockets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tracer.attribution.cgroups import container_of
from tracer.flows.listeners import Listener
from tracer.flows.pulse import Pulse
from tracer.flows.sockets import Owner, by_owner, by_state
from tracer.views.columns import Facts
from tracer.views.handshake_words import FIRST_RTO_NS
from tracer.views.listeners import ANY, max_set_by
from tracer.views.live.picture import ListenerRow, ProcessRow
from tracer.views.live.signs import Signs, Trends
from tracer.views.text import address, endpoint, escape
from tracer.wire.layout import Records

FEW = 10  # sockets in CLOSE_WAIT that a program may be about to close
GONE = "(exited) "
# the worst first
TROUBLES = (
    *("queue full", "drops SYNs", "no answer", "connects fail"),
    *("CLOSE_WAIT grows", "CLOSE_WAIT", "orphan"),
)


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
        full=max(0.0, min(1.0, one.counted["full_ns"] / (seconds * 1e9))) if seconds else None,
        syn_queue=int(row["syn_queue"]),
        accepts=one.counted["accepts"] / seconds if seconds else None,
        drops=drops,
    )


def process_rows(
    found: Records,
    now_ns: int,
    listeners: list[ListenerRow],
    trends: Trends,
    facts: Facts,
    pulse: Pulse | None = None,
) -> list[ProcessRow]:
    """Owners by their sockets by state, and by what failed lately; those in trouble first.

    What they open and fail at a second is that of `pulse`, if given, not of `trends`.
    """
    counted, late = by_owner(found), _late(found, now_ns, facts)
    signs, pulse = trends.signs(), pulse or trends.pulse
    deepest: dict[Owner, ListenerRow] = {}
    for one in sorted(listeners, key=lambda one: (one.is_full, one.drops or 0, one.queue)):
        deepest[one.owner_key] = one
    rated = trends.pulse.rate("events") is not None
    failing = [key for key, count in signs.failed.items() if count]
    rows = []
    for key in dict.fromkeys([*counted, *failing]):
        now = {facts.states[state]: count for state, count in counted.get(key, {}).items()}
        if facts.process(*key) is None and not set(now) - {"TIME_WAIT"} and key not in failing:
            continue  # no process has those
        row = replace(
            _named_row(key, now, facts),
            opens=pulse.opens.get(key, 0.0) if rated else None,
            fails=pulse.fails.get(key, 0.0) if rated else None,
            ended=signs.ended[key],
            silent=signs.silent[key],
            failed=signs.failed[key],
            late=late[key],
            left=signs.left[key],
        )
        rows.append(_judged(row, signs, deepest.get(key)))
    return sorted(rows, key=_rank)


def _named_row(key: Owner, now: dict[str, int], facts: Facts) -> ProcessRow:
    process = facts.process(*key)
    if process is None:
        return ProcessRow(key=key, pid="-", name="(unknown)", container="-", now=now)
    return ProcessRow(
        key=key,
        pid=str(process.pid or "-"),
        name=(GONE if process.exited_ns else "") + escape(process.comm),
        container=escape(container_of(facts.cgroups.get(process.cgroup_id)) or "-"),
        now=now,
    )


def _late(found: Records, now_ns: int, facts: Facts) -> Counter[Owner]:
    """Attempts that have waited for an answer for longer than a SYN's first timeout, by owner."""
    state = facts.layout.enums["tcp_state"]["SYN_SENT"]
    if not by_state(found).get(state):
        return Counter()
    late = found[(found["state"] == state) & (found["since_ns"] < now_ns - FIRST_RTO_NS)]
    return Counter(zip(late["pid"].tolist(), late["start"].tolist(), strict=True))


def _judged(row: ProcessRow, signs: Signs, queue: ListenerRow | None) -> ProcessRow:
    """The row with its queue and its trouble."""
    waiting = row.now.get("CLOSE_WAIT", 0)
    holds = (
        queue is not None and queue.is_full,
        queue is not None and bool(queue.drops),
        bool(row.late) or signs.is_unanswered(row.key),
        signs.is_failing(row.key),
        waiting > FEW and row.left > FEW,
        waiting > max(FEW, row.now.get("ESTABLISHED", 0)),
        row.name.startswith(GONE) and bool(set(row.now) - {"TIME_WAIT"}),
    )
    return replace(
        row,
        queue=f"{queue.queue}/{queue.limit}" if queue else "-",
        trouble=next((name for name, is_so in zip(TROUBLES, holds, strict=True) if is_so), ""),
    )


def _rank(row: ProcessRow) -> tuple[int, int, float, int, str]:
    """The worst first: as the verdict has it."""
    at = TROUBLES.index(row.trouble) if row.trouble else len(TROUBLES)
    worse = {"no answer": row.silent + row.late, "connects fail": row.failed}
    if row.trouble.startswith("CLOSE_WAIT"):
        worse[row.trouble] = row.now["CLOSE_WAIT"]
    return at, -worse.get(row.trouble, 0), -(row.opens or 0), -row.sockets, row.name
