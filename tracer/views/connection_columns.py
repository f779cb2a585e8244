"""The table of open connections: its columns, and what a row of it stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from tracer.views import connection_record as record
from tracer.views.columns import Facts
from tracer.views.columns import Row as Socket
from tracer.views.tables import Column
from tracer.views.text import address, duration, escape, quantity

SIGNS = {"active": ">", "passive": "<"}
SHORT = {"ESTABLISHED": "ESTAB", "NEW_SYN_RECV": "SYN_RECV"}


@dataclass(frozen=True)
class Row:
    """One connection, and how fast it was since the pass before: bytes a second, NaN unknown."""

    socket: Socket
    facts: Facts
    rx_per_s: float
    tx_per_s: float
    is_new: bool

    @property
    def state(self) -> str:
        """As people call it."""
        name = self.facts.states[self.socket.state]
        return SHORT.get(name, name)

    def of(self, name: str) -> Any:
        """A member of its record."""
        return record.CONNECTION[name](self.socket, self.facts)

    def owner(self) -> str | None:
        """`java[4411] +2`: two more processes hold it; (listener): not accepted yet."""
        process = self.facts.process(self.socket.pid, self.socket.start)
        if process is None:
            return "(orphan)" if self.socket.flags & record.ORPHAN else None
        text = f"{escape(process.comm)}[{process.pid or '-'}]"
        if self.socket.holders > 1:
            text += f" +{self.socket.holders - 1}"
        waits = self.facts.owners[self.socket.owner_is] == "listener"
        return f"{text} (listener)" if waits else text

    def remote(self) -> str:
        """Who is there, and who began: `<` the peer did, `>` we did."""
        sign = SIGNS.get(record.role(self.socket, self.facts) or "", "-")
        return f"{sign} {self.facts.endpoint(address(self.socket.raddr), self.socket.rport)}"

    def age(self) -> int | None:
        """Of the connection, ns; a lower bound where `age_bound` says so."""
        life = record.life_ns(self.socket, self.facts)
        return life[0] if life else None

    def age_text(self) -> str:
        """`>=` is a lower bound."""
        life = record.life_ns(self.socket, self.facts)
        if life is None:
            return "-"
        return ("" if life[1] else ">=") + duration(life[0])

    def idle(self) -> int | None:
        """Since anything was sent or received, ns."""
        parts = [self.of(name) for name in ("last_sent_us", "last_received_us", "last_ack_us")]
        known = [part for part in parts if part is not None]
        return min(known) * 1000 if known else None

    def rate(self, side: str) -> float | None:
        """Bytes a second."""
        value = self.rx_per_s if side == "rx" else self.tx_per_s
        return None if math.isnan(value) else value

    def limit(self) -> tuple[float, str] | None:
        """What held it up most while it had data to send: share of that time, and what."""
        busy = self.socket.busy_ns
        if not busy:
            return None
        share, name = max(
            (self.socket.rwnd_limited_ns / busy, "window"),
            (self.socket.sndbuf_limited_ns / busy, "buffer"),
        )
        return (share, name) if share >= 0.005 else None


def _limit_text(row: Row) -> str:
    found = row.limit()
    return f"{found[1]} {found[0]:.0%}" if found else "-"


def _us(value: float) -> str:
    return duration(value * 1000)


def _bytes(title: str, name: str, spare: int = 0) -> Column[Row]:
    return Column(title, partial(_member, name=name), quantity, spare=spare)


def _member(row: Row, name: str) -> Any:
    return row.of(name)


def _count(title: str, name: str, spare: int = 0) -> Column[Row]:
    return Column(title, partial(_member, name=name), spare=spare)


COLUMNS: tuple[Column[Row], ...] = (
    Column("STATE", lambda row: row.state, words=True),
    Column("PROCESS", Row.owner, words=True),
    Column("REMOTE", Row.remote, words=True),
    Column("LADDR", lambda row: row.facts.host(address(row.socket.laddr)), words=True, spare=5),
    Column("LPORT", lambda row: row.socket.lport or None),
    Column("AGE", Row.age, text=Row.age_text),
    Column("IDLE", Row.idle, duration, spare=4),
    _bytes("RECV-Q", "recv_queue"),
    _bytes("SEND-Q", "send_queue"),
    _bytes("IN", "rx_bytes", spare=2),
    _bytes("OUT", "tx_bytes", spare=2),
)
RATES: tuple[Column[Row], ...] = (
    Column("IN/s", lambda row: row.rate("rx"), quantity),
    Column("OUT/s", lambda row: row.rate("tx"), quantity),
    Column("NEW", lambda row: row.is_new, lambda new: "new" if new else "-", words=True, spare=3),
)
MEASURES: tuple[Column[Row], ...] = (
    Column("RTT", lambda row: row.of("srtt_us"), _us, spare=3),
    Column("MINRTT", lambda row: row.of("min_rtt_us"), _us, spare=9),
    _count("CWND", "cwnd", spare=7),
    _count("MSS", "mss", spare=10),
    _count("RTX", "retransmits", spare=3),
    Column("LIMITED", lambda row: (row.limit() or (None,))[0], text=_limit_text, spare=6),
    Column("CC", lambda row: row.of("congestion"), escape, words=True, spare=8),
    _count("UID", "uid", spare=11),
    _count("FD", "fd", spare=12),
    Column("NETNS", lambda row: row.socket.netns, spare=13),
)
