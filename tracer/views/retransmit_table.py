"""The table of `retransmits`: what it shows of what was sent again under one name."""

from __future__ import annotations

from dataclasses import dataclass

from tracer.flows.retransmits import Group
from tracer.views.tables import Column
from tracer.views.text import duration, quantity


@dataclass(frozen=True)
class Row:
    """What --by calls it, and what there was; `sent`: segments of its namespace, if known."""

    name: tuple[object, ...]
    group: Group
    span_ns: int
    sent: int | None = None

    @property
    def rate(self) -> float:
        """Segments a second."""
        return self.group.segments * 1e9 / self.span_ns if self.span_ns else 0.0

    @property
    def share(self) -> float | None:
        """Of all segments sent; None if these are not known."""
        return self.group.segments / self.sent if self.sent else None


def percent(share: float) -> str:
    """Two digits, as small as it may be."""
    return f"{share * 100:.2g}%" if share < 0.0995 else f"{share * 100:.0f}%"


NUMBERS: tuple[Column[Row], ...] = (
    Column("SEGS", lambda row: row.group.segments),
    Column("SEGS/s", lambda row: row.rate, lambda rate: f"{rate:.1f}"),
    Column("BYTES", lambda row: row.group.bytes, quantity, spare=2),
    Column("LOST AGAIN", lambda row: row.group.lost_again, spare=3),
    Column(
        "LAST RTO",
        lambda row: row.group.rto_us or None,
        lambda us: duration(us * 1000),
        spare=1,
    ),
)
SHARE: Column[Row] = Column("SHARE", lambda row: row.share, percent)
