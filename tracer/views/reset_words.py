"""RSTs and errors in words: as an event line has them."""

from __future__ import annotations

from errno import errorcode

from tracer.views.columns import Facts, Row
from tracer.views.reset_columns import idle_ns, is_exact, reason
from tracer.views.text import duration, quantity
from tracer.words.resets import MEANINGS

PACKETS = {"syn": "SYN", "syn_ack": "SYN-ACK", "other": "packet"}


def reset(row: Row, facts: Facts) -> str:
    """Which way, what from, what the application gets, how long it had been silent."""
    by, way = facts.reset_bys[row.by], facts.reset_ways[row.way]
    text = way if by == "peer" else f"{way}: {MEANINGS.get(by, by.replace('_', ' '))}"
    if row.state:
        text += f"  in {facts.states[row.state]}"
    elif row.answers:
        text += f"  to a {PACKETS[facts.answered[row.answers]]}"
    if row.error:
        text += f"  {errorcode.get(row.error, row.error)}"
    idle = idle_ns(row)
    if idle:
        text += f"  silent for {duration(idle)}"
    if row.life_ns:
        bound = "" if is_exact(row, facts) else ">="
        text += f"  life {bound}{duration(row.life_ns)}"
        text += f"  in {quantity(row.rx_bytes)} out {quantity(row.tx_bytes)}"
    if row.recv_queue:
        text += f"  {quantity(row.recv_queue)} never read"
    why = reason(row, facts)
    return f"{text}  ({why})" if why else text


def error(row: Row, facts: Facts) -> str:
    """Which, and in which state."""
    text = f"{errorcode.get(row.error, row.error)} in {facts.states[row.state]}"
    return text if row.ended else f"{text}, which goes on"
