"""What the records of RSTs and of errors say, beside what all events say."""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from typing import Any

Column = Callable[[Any, Any], object]
NO_REASON = 0xFFFFFFFF  # bpf/events.h: TT_NO_REASON
SENT, RECEIVED = 8, 16  # bpf/events.h: TT_OPEN_SENT, TT_OPEN_RECEIVED
# what our side decided on its own, not in answer to a packet
LOCAL = frozenset(
    {
        *("app_close_unread", "linger0", "linger2", "disconnect", "listener_closed", "killed"),
        *("keepalive", "no_fin", "kernel"),
    }
)


def is_local(row: Any, facts: Any) -> bool:
    """Whether our side broke off a connection; a `linger2` may also be an answer."""
    return facts.reset_bys[row.by] in LOCAL and not row.answers


def by(row: Any, facts: Any) -> str | None:
    """What it came from; None: not known."""
    return facts.reset_bys[row.by] if row.by else None


def reason(row: Any, facts: Any) -> str | None:
    """The kernel's own word for it."""
    if row.reason == NO_REASON:
        return None
    return str(facts.reset_reasons.get(row.reason, row.reason))


def idle_ns(row: Any) -> int | None:
    """Since the last segment either way that is known of; None without a connection."""
    spans = [row.last_ack_ns] if row.last_ack_ns else []
    spans += [row.last_received_ns] if row.flags & RECEIVED else []
    spans += [row.last_sent_ns] if row.flags & SENT else []
    return min(spans) if spans else None


def is_exact(row: Any, facts: Any) -> bool:
    """Whether the connection is younger than the tracer."""
    return bool(row.life_is == facts.exact)


def _us(ns: int | None) -> int | None:
    return None if ns is None else ns // 1000


def _age(row: Any, facts: Any) -> int | None:
    return _us(row.life_ns) if row.life_ns and is_exact(row, facts) else None


def _age_at_least(row: Any, facts: Any) -> int | None:
    return _us(row.life_ns) if row.life_ns and not is_exact(row, facts) else None


def _errno(row: Any, facts: Any) -> str | None:
    return errorcode.get(row.error, str(row.error)) if row.error else None


def _of_connection(name: str) -> Column:
    """Of a full socket that is no listener: there is none in other cases, not 0 bytes."""
    return lambda row, facts: getattr(row, name) if row.life_ns else None


RESET: dict[str, Column] = {
    "direction": lambda row, facts: facts.reset_ways[row.way],
    "local": is_local,
    "by": by,
    "reason": reason,
    "answers": lambda row, facts: facts.answered[row.answers] if row.answers else None,
    "state": lambda row, facts: facts.states[row.state] if row.state else None,
    "errno": _errno,
    "age_us": _age,
    "age_at_least_us": _age_at_least,
    "last_rx_us": lambda row, facts: _us(row.last_received_ns) if row.flags & RECEIVED else None,
    "last_tx_us": lambda row, facts: _us(row.last_sent_ns) if row.flags & SENT else None,
    "idle_us": lambda row, facts: _us(idle_ns(row)),
    "tx_bytes": _of_connection("tx_bytes"),
    "rx_bytes": _of_connection("rx_bytes"),
    "recv_queue": _of_connection("recv_queue"),
    "send_queue": _of_connection("send_queue"),
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
}
ERROR: dict[str, Column] = {
    "errno": _errno,
    "state": lambda row, facts: facts.states[row.state],
    "ended": lambda row, facts: bool(row.ended),
}
