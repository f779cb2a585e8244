"""Rows of `top`: what is wrong, what comes first, what is a rate."""

from __future__ import annotations

from tracer.flows.traffic import SUMS
from tracer.views.top_rows import NUMBERS, Row, document, trouble


def row(name: str, *, open_: int = 0, seconds: float = 2.0, **sums: int) -> Row:
    return Row((name,), seconds, open_, dict.fromkeys(SUMS, 0) | sums, None, {})


def test_failures_come_first_then_loss_then_who_carries_most() -> None:
    rows = [
        row("idle", open_=3),
        row("busy", tx_bytes=10**9, segs_out=10**6, retransmits=9_999),
        row("lossy", tx_bytes=10, segs_out=100, retransmits=1),
        row("failing", failures=2),
        row("worse", failures=7),
    ]
    names = [one.keys[0] for one in sorted(rows, key=trouble)]
    assert names == ["worse", "failing", "lossy", "busy", "idle"]


def test_rates_are_by_the_blocks_seconds_and_unknown_without() -> None:
    assert document(row("a", tx_bytes=100))["tx_per_s"] == 50
    assert document(row("a", seconds=0.0, tx_bytes=100))["tx_per_s"] is None


def test_nothing_sent_has_no_share() -> None:
    assert row("a").share is None
    assert row("a", segs_out=4, retransmits=1).share == 0.25


def test_marks_stand_where_something_is_wrong() -> None:
    cells = {c.title: c.cell(row("a", failures=1, segs_out=50, retransmits=1)) for c in NUMBERS}
    assert (cells["FAIL"], cells["RETR"]) == ("1 !", "2.0% !")
    cells = {c.title: c.cell(row("a", segs_out=1000, retransmits=1)) for c in NUMBERS}
    assert (cells["FAIL"], cells["RETR"], cells["RTT"]) == ("0", "0.1%", "-")
