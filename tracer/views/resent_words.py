"""What was sent again, in words."""

from __future__ import annotations

from tracer.views.columns import Facts, Row
from tracer.views.resent_columns import is_relative, why
from tracer.views.text import duration, quantity

TIMED = ("rto", "syn")  # sent again as a timer ran out: after how long is what matters
ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def ordinal(number: int) -> str:
    """`1st`, `2nd`, `11th`."""
    teens = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teens else ENDINGS.get(number % 10, 'th')}"


def text(row: Row, facts: Facts) -> str:
    """As an event line has it: `rto 241ms, 1st, seq +18824, 1448 B`."""
    kind = facts.resends[row.type]
    found = why(row, facts)
    if kind in TIMED and row.rto_us:
        found += f" {duration(row.rto_us * 1000)}"
    if row.nth:
        found += f", {ordinal(row.nth)}"
    if row.seq_is:
        found += f", seq {'+' if is_relative(row, facts) else ''}{row.seq}"
        found += f", {_bytes(row.length)}"
    if row.segments > 1:
        found += f" in {row.segments} segments"
    if row.acked:
        found += f", {ACKED[facts.layout.names['acked'][row.acked]]}"
    return found


ACKED = {
    "QUEUE_FULL": "its ACK had come: accept queue full",
    "DEFERRED": "its ACK had come: data is waited for",
}


def _bytes(length: int) -> str:
    """To the byte while that is short."""
    return f"{length} B" if length < 100_000 else f"{quantity(length)}B"
