"""What the record of a segment that was sent again says, beside what all events say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Column = Callable[[Any, Any], object]


def is_relative(row: Any, facts: Any) -> bool:
    """Whether its number counts from the connection's first byte."""
    return bool(row.seq_is == facts.layout.enums["seq_is"]["RELATIVE"])


def is_synack(row: Any, facts: Any) -> bool:
    """Whether it is a SYN-ACK, of which the kernel keeps less."""
    return bool(facts.resends[row.type] == "synack")


def why(row: Any, facts: Any) -> str:
    """The type as people read it."""
    return str(facts.resends[row.type]).replace("_", " ")


def _known(name: str) -> Column:
    """0 stands for what is not known."""
    return lambda row, facts: getattr(row, name) or None


def _acked(row: Any, facts: Any) -> bool | None:
    return bool(row.acked) if is_synack(row, facts) else None


RESENT: dict[str, Column] = {
    "type": lambda row, facts: facts.resends[row.type],
    "nth": _known("nth"),
    "state": lambda row, facts: facts.states[row.state],
    "seq": lambda row, facts: row.seq if is_relative(row, facts) else None,
    "seq_absolute": lambda row, facts: (
        row.seq if row.seq_is and not is_relative(row, facts) else None
    ),
    "length": lambda row, facts: row.length,
    "segments": lambda row, facts: row.segments,
    "rto_us": _known("rto_us"),
    "srtt_us": _known("srtt_us"),
    "cwnd": _known("cwnd"),
    "lost_again": lambda row, facts: bool(row.lost_again),
    "acked": _acked,
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
}
