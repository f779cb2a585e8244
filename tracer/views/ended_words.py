"""How connections ended and how they went, in words."""

from __future__ import annotations

from errno import errorcode

from tracer.views.columns import Facts, Row
from tracer.views.ended_columns import is_exact, was_established
from tracer.views.text import address, duration, escape, quantity

A_WHILE_NS = 1_000_000_000
MOST_OF_IT = 0.5
SIDES = {"local": "local", "remote": "peer", "both": "both"}


def life(row: Row, facts: Facts) -> str:
    """`61.4s`; `>=30.0s` of one that is older than the tracer."""
    return ("" if is_exact(row, facts) else ">=") + duration(row.life_ns)


def ended_by(row: Row, facts: Facts) -> str:
    """Who ended it, and how: `local fin`, `peer RST`, `ETIMEDOUT`, `refused`."""
    end, error = facts.ends[row.end], errorcode.get(row.error, "")
    if end == "fin":
        return f"{SIDES.get(facts.closers[row.closed_by], '-')} fin"
    if end == "rst_received":
        return "refused" if error == "ECONNREFUSED" else "peer RST"
    if end == "rst_sent":
        return "local RST"
    if end == "aborted":
        return error or "given up"
    return "killed" if end == "killed" else error or end


def text(row: Row, facts: Facts) -> str:
    """As an event line has it."""
    found = f"{ended_by(row, facts)} after {life(row, facts)}"
    if was_established(row, facts):
        found += f"  in {quantity(row.rx_bytes)} out {quantity(row.tx_bytes)}"
    if row.srtt_us:
        found += f"  rtt {duration(row.srtt_us * 1000)}"
    if row.retransmits:
        found += f"  {row.retransmits} sent again"
    if row.recv_queue:
        found += f"  {quantity(row.recv_queue)} never read"
    return found


def limited(row: Row) -> tuple[float, str] | None:
    """What held it up most while it had data to send: share of that time, and what."""
    if not row.busy_ns:
        return None
    return max(
        (row.rwnd_limited_ns / row.busy_ns, "the receiver's window"),
        (row.sndbuf_limited_ns / row.busy_ns, "its own send buffer"),
    )


def held_up(rows: list[Row], facts: Facts) -> list[str]:
    """A sentence on the one that was held up longest, if that was most of its time."""
    worst: tuple[float, Row, float, str] | None = None
    for row in rows:
        found = limited(row)
        if found and found[0] >= MOST_OF_IT and row.busy_ns * found[0] >= A_WHILE_NS:
            took = row.busy_ns * found[0]
            if worst is None or took > worst[0]:
                worst = took, row, *found
    if worst is None:
        return []
    _, row, share, what = worst
    process = facts.process(row.pid, row.start)
    owner = f"{escape(process.comm)}[{process.pid or '-'}]" if process else "-"
    peer = facts.endpoint(address(row.raddr), row.rport)
    return [
        f"{owner} to {peer}: held up by {what} for {share:.0%} of the {duration(row.busy_ns)}"
        " that it had data to send"
    ]
