"""What the record of an open connection says, member by member."""

from __future__ import annotations

from typing import Any

from tracer.flows.owners import FULL, ORPHAN, RECEIVED, SENT
from tracer.views.columns import HEAD, Column, Facts, Row

__all__ = ["COMPARED", "CONNECTION", "ORPHAN", "document", "is_full", "life_ns", "role"]
NOBODY = 0xFFFFFFFF  # bpf/events.h: TT_NOBODY
# what only the end, or tracing, would tell
UNKNOWN: dict[str, Column] = dict.fromkeys(
    ("oncpu_pid", "closed", "closed_by", "end", "errno", "handshake_us", "accept_wait_us"),
    lambda row, facts: None,
)


def is_full(row: Row) -> bool:
    """Whether the kernel measures it: mini-sockets and half-open ones it does not."""
    return bool(row.flags & FULL)


def _measured(name: str) -> Column:
    return lambda row, facts: getattr(row, name) if is_full(row) else None


def _known(name: str) -> Column:
    """0 stands for what is not known yet."""
    return lambda row, facts: getattr(row, name) or None


def _us(name: str) -> Column:
    return lambda row, facts: getattr(row, name) // 1000 if is_full(row) else None


def _since(name: str, flag: int) -> Column:
    return lambda row, facts: getattr(row, name) // 1000 if row.flags & flag else None


def life_ns(row: Row, facts: Facts) -> tuple[int, bool] | None:
    """How old it is, and whether that is exact or a lower bound; None if not known."""
    return (row.life_ns, row.life_is == facts.exact) if row.life_ns else None


def _opened(row: Row, facts: Facts) -> str | None:
    life = life_ns(row, facts)
    if life is None or not life[1] or facts.states[row.state] in ("SYN_SENT", "NEW_SYN_RECV"):
        return None
    return facts.clock.iso_in_ticks(row.mono_ns - life[0])


def _duration(exact: bool) -> Column:
    def column(row: Row, facts: Facts) -> int | None:
        life = life_ns(row, facts)
        return life[0] // 1000 if life and life[1] == exact else None

    return column


def _states(row: Row, facts: Facts) -> dict[str, int]:
    if not row.age_ns or row.age_is != facts.exact:
        return {}
    return {facts.states[row.state]: row.age_ns // 1000}


def _keepalive(row: Row, facts: Facts) -> dict[str, float] | None:
    if not row.keepalive_idle_ms:
        return None
    return {
        "idle_s": row.keepalive_idle_ms / 1000,
        "interval_s": row.keepalive_interval_ms / 1000,
        "probes": row.keepalive_probes,
    }


def role(row: Row, facts: Facts) -> str | None:
    """Who began, where the socket tells."""
    return facts.roles[row.role] if row.role else None


CONNECTION: dict[str, Column] = {
    **HEAD,
    **UNKNOWN,
    "kind": lambda row, facts: "connection",
    "owner_is": lambda row, facts: facts.owners[row.owner_is],
    "state": lambda row, facts: facts.states[row.state],
    "opened": _opened,
    "duration_us": _duration(True),
    "duration_at_least_us": _duration(False),
    "role": role,
    "tx_bytes": _measured("tx_bytes"),
    "rx_bytes": _measured("rx_bytes"),
    "segs_out": _measured("segs_out"),
    "segs_in": _measured("segs_in"),
    "retransmits": lambda row, facts: (
        row.retransmits if is_full(row) or row.role else None  # half-open: of its SYN-ACK
    ),
    "retransmit_bytes": _measured("retransmit_bytes"),
    "srtt_us": _known("srtt_us"),
    "min_rtt_us": _known("min_rtt_us"),
    "cwnd": _measured("cwnd"),
    "mss": _measured("mss"),
    "congestion": lambda row, facts: row.congestion.decode("ascii", "replace") or None,
    "states_us": _states,
    "busy_us": _us("busy_ns"),
    "rwnd_limited_us": _us("rwnd_limited_ns"),
    "sndbuf_limited_us": _us("sndbuf_limited_ns"),
    "keepalive": _keepalive,
    "listener_cookie": lambda row, facts: (
        f"{row.listener_cookie:x}" if row.listener_cookie else None
    ),
    "recv_queue": _measured("recv_queue"),
    "send_queue": _measured("send_queue"),
    "last_sent_us": _since("last_sent_ns", SENT),
    "last_received_us": _since("last_received_ns", RECEIVED),
    "last_ack_us": lambda row, facts: row.last_ack_ns // 1000 if row.last_ack_ns else None,
    "uid": lambda row, facts: row.uid if row.uid != NOBODY else None,
    "inode": lambda row, facts: row.inode or None,
    "fd": lambda row, facts: row.fd if row.holders else None,
    "holders": lambda row, facts: row.holders,
}
# of a pass beside an earlier one
COMPARED = ("partial", "new", "rx_per_s", "tx_per_s")


def document(row: Row, facts: Facts) -> dict[str, Any]:
    """A record's members, in the order of all exports, without those of COMPARED."""
    return {name: column(row, facts) for name, column in CONNECTION.items()}
