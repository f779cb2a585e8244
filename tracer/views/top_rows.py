"""Rows of `top`: what a process, a peer or a control group carries, and its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracer.views.tables import Column
from tracer.views.text import duration, escape, quantity

WORST_SHARE = 0.01  # of segments sent again: worth a look
# whose a record is, by the first key of its rows
KINDS = {"pid": "process", "comm": "process"} | {
    **dict.fromkeys(("cgroup", "container"), "cgroup"),
    **dict.fromkeys(("peer", "raddr", "rport", "laddr", "lport", "family"), "peer"),
    "netns": "netns",
}


@dataclass(frozen=True)
class Row:
    """`keys` are as --by has them, of a process (`pid`) its PID, name and unit; sums of a block."""

    keys: tuple[object, ...]
    seconds: float
    open: int
    sums: dict[str, int]
    srtt_us: int | None
    identity: dict[str, object]

    def rate(self, name: str) -> float | None:
        """A second, over the block."""
        return self.sums[name] / self.seconds if self.seconds else None

    @property
    def share(self) -> float | None:
        """Of the segments sent, those that were sent again."""
        sent = self.sums["segs_out"]
        return min(1.0, self.sums["retransmits"] / sent) if sent else None

    @property
    def is_wrong(self) -> bool:
        """Whether it is worth a look."""
        return bool(self.sums["failures"]) or (self.share or 0.0) >= WORST_SHARE


def trouble(row: Row) -> tuple[object, ...]:
    """What is wrong first, then who carries most, then who has most."""
    carried = row.sums["rx_bytes"] + row.sums["tx_bytes"]
    return (not row.is_wrong, -row.sums["failures"], -carried, -row.open, str(row.keys))


def _sum(row: Row, name: str) -> int:
    return row.sums[name]


def _rate(row: Row, name: str) -> float | None:
    return row.rate(name)


def few(rate: float) -> str:
    """A rate of things, not bytes."""
    return f"{rate:.0f}" if rate >= 100 or rate == int(rate) else f"{rate:.2g}"


def _marked(text: Callable[[Row], str], wrong: Callable[[Row], bool]) -> Callable[[Row], str]:
    return lambda row: text(row) + (" !" if wrong(row) else "")


def _share(row: Row) -> str:
    return "-" if row.share is None else f"{row.share:.1%}"


NUMBERS: tuple[Column[Row], ...] = (
    Column("OPEN", lambda row: row.open),
    Column("OPEN/s", partial(_rate, name="opened"), few),
    Column("IN/s", partial(_rate, name="rx_bytes"), quantity),
    Column("OUT/s", partial(_rate, name="tx_bytes"), quantity),
    Column("IN", partial(_sum, name="rx_bytes"), quantity, spare=5),
    Column("OUT", partial(_sum, name="tx_bytes"), quantity, spare=5),
    Column("OPENED", partial(_sum, name="opened"), spare=4),
    Column("ENDED", partial(_sum, name="ended"), spare=6),
    Column(
        "FAIL",
        partial(_sum, name="failures"),
        text=_marked(lambda row: str(row.sums["failures"]), lambda row: row.sums["failures"] > 0),
    ),
    Column(
        "RETR",
        lambda row: row.share,
        text=_marked(_share, lambda row: (row.share or 0.0) >= WORST_SHARE),
    ),
    Column("RTT", lambda row: row.srtt_us, lambda us: duration(us * 1000)),
)


def _named(place: int) -> Callable[[Row], Any]:
    return lambda row: row.keys[place]


def _shown(key: object) -> str:
    return escape(str(key))


PROCESS: tuple[Column[Row], ...] = (
    Column("PID", _named(0)),
    Column("PROCESS", _named(1), str, words=True),
    Column("UNIT", _named(2), _shown, words=True, spare=3),
)
UNIT: Column[Row] = Column("UNIT", lambda row: row.identity.get("unit"), _shown, words=True)


def first_columns(words: Sequence[str]) -> tuple[Column[Row], ...]:
    """Those that say whose a row is."""
    if words == ("pid",):
        return PROCESS
    numbers = ("rport", "lport", "pid", "netns", "family")
    keyed = tuple(
        Column(word.upper(), _named(i), _shown, words=word not in numbers)
        for i, word in enumerate(words)
    )
    return (*keyed, UNIT) if {"cgroup", "container"} & set(words) else keyed


def document(row: Row) -> dict[str, object]:
    """The members of a record, beside those that say whose it is."""
    return {
        "open": row.open,
        **{name: row.sums[name] for name in ("opened", "ended", "failures")},
        "opened_per_s": row.rate("opened"),
        **{name: row.sums[name] for name in ("rx_bytes", "tx_bytes")},
        "rx_per_s": row.rate("rx_bytes"),
        "tx_per_s": row.rate("tx_bytes"),
        **{name: row.sums[name] for name in ("segs_out", "retransmits")},
        "retransmit_share": row.share,
        "srtt_us": row.srtt_us,
    }
