"""What the record of a connection that has ended says, beside what all events say.

The names are those of `connections --open` (connection_record.py); what only that knows is null.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import errorcode
from typing import Any

Column = Callable[[Any, Any], object]
NOBODY = 0xFFFFFFFF  # bpf/events.h: TT_NOBODY
# what is known only of an open one
OPEN_ONLY = (
    *("last_sent_us", "last_received_us", "last_ack_us", "inode", "fd", "new"),
    *("rx_per_s", "tx_per_s"),
)
# the two places of closing_ns, by the states that are told there
CLOSING = (("FIN_WAIT1", "CLOSE_WAIT"), ("FIN_WAIT2", "CLOSING", "LAST_ACK"))


def is_exact(row: Any, facts: Any) -> bool:
    """Whether it is younger than the tracer."""
    return bool(row.life_is == facts.exact)


def was_established(row: Any, facts: Any) -> bool:
    """Whether it ever was a connection, not an attempt alone."""
    return facts.states[row.old] not in ("SYN_SENT", "SYN_RECV")


def _opened(row: Any, facts: Any) -> str | None:
    return facts.clock.iso(row.mono_ns - row.life_ns) if is_exact(row, facts) else None


def states_ns(row: Any, facts: Any) -> dict[str, int]:
    """Time in each state that was entered and left while it was traced, in their order."""
    states = facts.layout.enums["tcp_state"]

    def visited(name: str) -> bool:
        return bool(row.visited >> states[name] & 1)

    closing = {
        name: int(row.closing_ns[place])
        for place, names in enumerate(CLOSING)
        for name in names
        if visited(name)
    }
    found = {"SYN_SENT": row.syn_sent_us * 1000} if visited("SYN_SENT") else {}
    if visited("SYN_RECV"):
        found["SYN_RECV"] = row.syn_recv_us * 1000
    if visited("ESTABLISHED") and is_exact(row, facts):
        found["ESTABLISHED"] = row.life_ns - sum(closing.values())
    return found | closing


def _keepalive(row: Any, facts: Any) -> dict[str, float] | None:
    if not row.keepalive_idle_ms:
        return None
    return {
        "idle_s": row.keepalive_idle_ms / 1000,
        "interval_s": row.keepalive_interval_ms / 1000,
        "probes": row.keepalive_probes,
    }


def _plain(name: str) -> Column:
    return lambda row, facts: getattr(row, name)


def _known(name: str) -> Column:
    """0 stands for what is not known."""
    return lambda row, facts: getattr(row, name) or None


def _us(name: str) -> Column:
    return lambda row, facts: getattr(row, name) // 1000


ENDED: dict[str, Column] = {
    "state": lambda row, facts: "CLOSE",
    "opened": _opened,
    "closed": lambda row, facts: facts.clock.iso(row.mono_ns),
    "duration_us": lambda row, facts: row.life_ns // 1000 if is_exact(row, facts) else None,
    "duration_at_least_us": lambda row, facts: (
        None if is_exact(row, facts) else row.life_ns // 1000
    ),
    "partial": lambda row, facts: not is_exact(row, facts),
    "role": lambda row, facts: facts.roles[row.role] if row.role else None,
    "closed_by": lambda row, facts: facts.closers[row.closed_by],
    "end": lambda row, facts: facts.ends[row.end],
    "errno": lambda row, facts: errorcode.get(row.error) if row.error else None,
    **{name: _plain(name) for name in ("tx_bytes", "rx_bytes", "segs_out", "segs_in")},
    **{name: _plain(name) for name in ("retransmits", "retransmit_bytes")},
    "srtt_us": _known("srtt_us"),
    "min_rtt_us": _known("min_rtt_us"),
    "cwnd": _plain("cwnd"),
    "mss": _plain("mss"),
    "congestion": lambda row, facts: row.congestion.decode("ascii", "replace") or None,
    "handshake_us": _known("handshake_us"),
    "accept_wait_us": _known("accept_wait_us"),
    "states_us": lambda row, facts: {
        name: ns // 1000 for name, ns in states_ns(row, facts).items()
    },
    "busy_us": _us("busy_ns"),
    "rwnd_limited_us": _us("rwnd_limited_ns"),
    "sndbuf_limited_us": _us("sndbuf_limited_ns"),
    "keepalive": _keepalive,
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
    "recv_queue": _plain("recv_queue"),
    "send_queue": _plain("send_queue"),
    "uid": lambda row, facts: row.uid if row.uid != NOBODY else None,
    "holders": lambda row, facts: None,
    **dict.fromkeys(OPEN_ONLY, lambda row, facts: None),
}
