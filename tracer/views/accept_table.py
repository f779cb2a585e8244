"""The table of `accepts`: what it shows of a row, and the sums of listeners among the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracer.views import keys
from tracer.views.accept_rows import By, Row, Totals, process_name
from tracer.views.spreads import most, quantile
from tracer.views.tables import Column
from tracer.views.text import duration, escape


def _failed(row: Row) -> str:
    """`9 EMFILE !`; 0 where none failed, `-` where that is not seen."""
    if not row.knows_failures:
        return "-"
    if not row.failed:
        return "0"
    return ", ".join(f"{n} {name}" for name, n in sorted(row.failed.items())) + " !"


def _quantile(title: str, share: float, spare: int = 0) -> Column[Row]:
    return Column(
        title,
        lambda row: row.waits.quantile(share),
        text=lambda row: quantile(row.waits, share),
        spare=spare,
    )


NUMBERS: tuple[Column[Row], ...] = (
    Column("ACCEPTS", lambda row: row.waits.count),
    Column("TIMED", lambda row: row.waits.timed),
    Column("FAILED", lambda row: sum(row.failed.values()), text=_failed),
    Column("MEAN", lambda row: row.waits.mean, duration, spare=3),
    _quantile("p50", 0.5),
    _quantile("p90", 0.9, spare=2),
    _quantile("p99", 0.99),
    _quantile("p99.9", 0.999, spare=4),
    Column(
        "max",
        lambda row: max(row.waits.most, row.waits.most_at_least) or None,
        text=lambda row: most(row.waits),
        spare=1,
    ),
)


def key_columns(by: By) -> Sequence[Column[Row]]:
    """Those of the words of --by; the first after the listener's names a sum."""
    found: list[tuple[str, Callable[[Row], str]]] = []
    if by.pid or by.comm:
        found.append(("ACCEPTED BY", lambda row: _acceptor(row, by)))
    if by.peer_bits:
        found.append(("PEER", lambda row: row.peer or "-"))
    if by.listener:
        found.insert(0, ("LISTENER", lambda row: row.listener.name if row.listener else "-"))
    others: Sequence[Column[Row]] = keys.columns(by.others, lambda row: row.others_or_none(by))
    if not found:
        return others
    named = min(int(by.listener), len(found) - 1)
    columns = [_named(title, text, i - named) for i, (title, text) in enumerate(found)]
    if "netns" in by.others:
        return [*columns, *others]
    netns = Column[Row]("NETNS", lambda row: row.listener.netns if row.listener else None)
    return [netns, *columns, *others]


def _named(title: str, text: Callable[[Row], str], place: int) -> Column[Row]:
    def value(row: Row) -> str:
        if row.sum_of and place >= 0:
            return "" if place else f"(all {row.sum_of})"
        return text(row)

    return Column(title, value, words=True)


def _acceptor(row: Row, by: By) -> str:
    if not row.accepted:
        return "(nobody)"
    return process_name(row.process) if by.pid else escape(row.comm or "-")


def with_sums(found: Totals, shown: Sequence[Row]) -> list[Row]:
    """The rows that are shown, after those of each listener their sum."""
    wanted = {id(row) for row in shown}
    rows = []
    for block in found.blocks:
        mine = [row for row in block.rows if id(row) in wanted]
        rows += mine
        if mine and block.sum:
            rows.append(block.sum)
    return rows
