"""What the record of a packet that was thrown away says, beside what all events say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracer.flows.packets import TIME_WAIT
from tracer.wire.reasons import is_expected, layer_of

Column = Callable[[Any, Any], object]
FLAGS = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")


def flags(bits: int) -> str:
    """`SYN|ACK`; empty for none."""
    return "|".join(name for i, name in enumerate(FLAGS) if bits >> i & 1)


def is_syn(bits: int) -> bool:
    """Whether these flags begin a connection: SYN without ACK."""
    return bool(bits & 2) and not bits & 16


def told_by(row: Any, facts: Any) -> tuple[str, str | None, bool, int]:
    """What tells whether a packet is missed, and why it was dropped: see `wire/reasons.py`."""
    reason, function = facts.reason(row.reason), facts.function(row.location)
    syn = is_syn(row.tcp_flags) and row.state != TIME_WAIT
    # recordings of before it was told have no such field
    return reason, function, syn, getattr(row, "spent", 0)


def is_expected_drop(row: Any, facts: Any) -> bool:
    """Whether nothing was lost with the packet."""
    return is_expected(*told_by(row, facts))


DROP: dict[str, Column] = {
    "reason": lambda row, facts: facts.reason(row.reason),
    "location": lambda row, facts: facts.code.get(row.location),
    "layer": lambda row, facts: layer_of(facts.reason(row.reason), facts.function(row.location)),
    "direction": lambda row, facts: facts.directions[row.direction],
    "dev": lambda row, facts: row.dev.decode("utf-8", "replace") or None,
    "rxq": lambda row, facts: row.queue - 1 if row.queue else None,
    "cpu": lambda row, facts: row.cpu,
    "length": lambda row, facts: row.length,
    "tcp_flags": lambda row, facts: flags(row.tcp_flags),
    "expected": is_expected_drop,
    "owner_from": lambda row, facts: facts.owners_from[row.owner_from],
    "stack": lambda row, facts: facts.calls.of_kernel(row),
    "user_stack": lambda row, facts: facts.calls.of_owner(row),
}
