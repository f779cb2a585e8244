"""Pane 2: every open connection, those in trouble first, then the longest in their state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.flows.sockets import Owner
from tracer.views.live.panes.base import Indices, Keys, Pane, Table
from tracer.views.live.picture import Picture
from tracer.views.live.rows import named
from tracer.views.tables import Heading
from tracer.views.text import address, duration, endpoint, escape, quantity

LATE_NS = 1_000_000_000  # a state that should pass at once has not, for so long
# states that are passed through at once where both ends do their part
PASSING = ("SYN_SENT", "SYN_RECV", "NEW_SYN_RECV", "FIN_WAIT1", "CLOSING", "LAST_ACK")
HEADINGS = (
    Heading("PROCESS", words=True),
    Heading("", words=True),
    Heading("REMOTE", words=True),
    Heading("LOCAL", words=True, spare=5),
    Heading("LPORT"),
    Heading("STATE", words=True),
    Heading("IN STATE"),
    Heading("RECVQ"),
    Heading("SENDQ"),
    Heading("RTT", spare=4),
    Heading("IN/s", spare=8),
    Heading("OUT/s", spare=8),
    Heading("WAITS FOR", words=True, spare=7),
    Heading("NETNS", spare=9),
)
PROCESS, ROLE, REMOTE, LOCAL, LPORT, STATE, IN_STATE = range(7)
RECVQ, SENDQ, RTT, IN, OUT, WAITS, NETNS = range(7, len(HEADINGS))
MEASURES = {RECVQ: "recv_queue", SENDQ: "send_queue", RTT: "srtt_us"}


class Open(Table):
    """Columns of all, cells of those in view. Listening sockets are no connections.

    TIME_WAIT has no process and nothing left to do: shown if a filter names that state.
    """

    def __init__(self, picture: Picture) -> None:
        self._facts, self._now_ns = picture.facts, picture.now_ns
        self._states = picture.facts.layout.enums["tcp_state"]
        rows = picture.connections
        hidden = {self._states["LISTEN"]}
        if self._states["TIME_WAIT"] not in picture.narrowing.filters.states:
            hidden.add(self._states["TIME_WAIT"])
        rows = rows[~np.isin(rows["state"], list(hidden))]
        self._wrong = self._find_wrong(rows)
        order = np.lexsort((rows["since_ns"], ~self._wrong))
        self.rows, self._wrong = rows[order], self._wrong[order]
        self._looked = picture.looked

    def _find_wrong(self, rows: Any) -> NDArray[np.bool_]:
        late = rows["since_ns"] < self._now_ns - LATE_NS
        passing = np.isin(rows["state"], [self._states[name] for name in PASSING])
        peer_gone = rows["state"] == self._states["CLOSE_WAIT"]
        waits = (rows["waiting_ns"] > LATE_NS) & (rows["state"] == self._states["ESTABLISHED"])
        found: NDArray[np.bool_] = (passing & late) | (peer_gone & late) | waits
        return found

    @cached_property
    def keys(self) -> Keys:
        """Socket cookies."""
        return self.rows["cookie"]

    @cached_property
    def _by_cookie(self) -> Indices:
        return np.argsort(self.rows["cookie"], kind="stable")

    def places(self, keys: Keys) -> Indices:
        """Where these cookies are."""
        if not len(self.rows):
            return np.full(len(keys), -1, np.intp)
        cookies = self.rows["cookie"][self._by_cookie]
        at = np.minimum(np.searchsorted(cookies, keys), len(cookies) - 1)
        return np.where(cookies[at] == keys, self._by_cookie[at], -1)

    def order(self, column: int) -> Indices | None:
        """Places by a column."""
        rows = self.rows
        if column in self.missing():
            return None
        if column == PROCESS:
            owners, which = self._owners
            names = [named(owner, self._facts).lower() for owner in owners]
            rank = np.empty(len(names), np.intp)
            rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
            return np.argsort(rank[which], kind="stable")
        if column == REMOTE:
            text = np.ascontiguousarray(rows["raddr"]).view("S16").ravel()
            return np.lexsort((rows["rport"], text))
        if column == IN_STATE:
            return np.argsort(rows["since_ns"], kind="stable")
        if column in (RECVQ, SENDQ, RTT, IN, OUT):
            return np.argsort(-self._measure(column), kind="stable")
        if column in (LPORT, STATE, NETNS):
            name = {LPORT: "lport", STATE: "state", NETNS: "netns"}[column]
            return np.argsort(rows[name], kind="stable")
        return None

    @cached_property
    def _at(self) -> Indices:
        """Where each is in the closer look; -1 where that did not find it."""
        return self._looked.at(self.rows["cookie"])

    def _measure(self, column: int) -> NDArray[np.float64]:
        """Of all rows; -1 where it is not known."""
        if not len(self._looked):
            return np.full(len(self.rows), -1.0)
        rates = {IN: self._looked.rx_per_s, OUT: self._looked.tx_per_s}
        source = rates[column] if column in rates else self._looked.rows[MEASURES[column]]
        return np.where(self._at >= 0, np.nan_to_num(source[self._at].astype(np.float64)), -1.0)

    @cached_property
    def _owners(self) -> tuple[list[Owner], Indices]:
        """Each owner once, and which of them every row has."""
        packed = self.rows["pid"].astype(np.uint64) << np.uint64(32)
        packed |= self.rows["start"].astype(np.uint64)
        owners, which = np.unique(packed, return_inverse=True)
        return [(int(one) >> 32, int(one) & 0xFFFFFFFF) for one in owners], which

    def cells(self, places: Sequence[int]) -> list[list[str]]:
        """Texts of these rows."""
        return [self._cells(self.rows[place], int(self._at[place])) for place in places]

    def _cells(self, row: np.void, at: int) -> list[str]:
        facts = self._facts
        state = int(row["state"])
        bound = "" if row["since_is"] == facts.exact else ">="
        return [
            self._owner_name(row),
            ("", ">", "<")[int(row["role"])],
            endpoint(address(bytes(row["raddr"])), int(row["rport"])) if row["rport"] else "-",
            address(bytes(row["laddr"])),
            str(row["lport"] or "-"),
            facts.states[state],
            bound + duration(max(0, self._now_ns - int(row["since_ns"]))),
            *self._measures(at),
            self._waits_for(row),
            str(row["netns"]),
        ]

    def _measures(self, at: int) -> list[str]:
        looked = self._looked
        if at < 0:
            return ["-"] * 5
        row = looked.rows[at]
        return [
            quantity(int(row["recv_queue"])),
            quantity(int(row["send_queue"])),
            duration(int(row["srtt_us"]) * 1000) if row["srtt_us"] else "-",
            *(quantity(float(rates[at])) for rates in (looked.rx_per_s, looked.tx_per_s)),
        ]

    def _owner_name(self, row: np.void) -> str:
        how = self._facts.owners[int(row["owner_is"])]
        process = self._facts.process(int(row["pid"]), int(row["start"]))
        if process is None:
            return "(kernel)" if how == "kernel" else "-"
        gone = "(exited) " if process.exited_ns else ""
        return f"{gone}{escape(process.comm)}[{process.pid or '-'}]"

    def _waits_for(self, row: np.void) -> str:
        """What has to happen for it to leave its state, where that is known from it."""
        if row["waiting_ns"] and row["state"] == self._states["ESTABLISHED"]:
            return "accept()"
        return WAITS_FOR.get(self._facts.states[int(row["state"])], "-")

    def wrong(self, place: int) -> bool:
        """Whether the row is marked."""
        return bool(self._wrong[place])

    def missing(self) -> frozenset[int]:
        """What only a closer look tells, where there was none."""
        return frozenset() if len(self._looked) else frozenset((RECVQ, SENDQ, RTT, IN, OUT))

    def owner(self, place: int) -> Owner | None:
        """The process that answers for it."""
        row = self.rows[place]
        return (int(row["pid"]), int(row["start"])) if row["pid"] else None

    def term(self, place: int) -> str:
        """Its state."""
        return self._facts.states[int(self.rows[place]["state"])]

    def having(self, text: str) -> NDArray[np.bool_]:
        """Which rows have this in their process, state, address or port; `ADDR:PORT` in both."""
        text = text.lower()
        rows = self.rows
        owners, which = self._owners
        names = np.array([text in named(owner, self._facts).lower() for owner in owners], np.bool_)
        found: NDArray[np.bool_] = names[which] if len(names) else np.zeros(len(rows), np.bool_)
        states = [value for name, value in self._states.items() if text in name.lower()]
        found |= np.isin(rows["state"], states)
        for side in ("l", "r"):
            addresses, ports = rows[f"{side}addr"], rows[f"{side}port"]
            found |= _with_address(addresses, text) | _with_port(ports, text)
            host, colon, port = text.rpartition(":")
            if colon and host and (port.isdecimal() or not port):
                host = host.strip("[]")
                ends = _with_address(addresses, host, at_end=True)
                found |= ends & _with_port(ports, port, at_begin=True)
        return found


WAITS_FOR = {
    "SYN_SENT": "an answer",
    "SYN_RECV": "the last ACK",
    "NEW_SYN_RECV": "the last ACK",
    "FIN_WAIT1": "the FIN's ACK",
    "FIN_WAIT2": "the peer's FIN",
    "CLOSING": "the FIN's ACK",
    "CLOSE_WAIT": "close()",
    "LAST_ACK": "the FIN's ACK",
    "TIME_WAIT": "time",
}


def _with_address(column: Any, text: str, at_end: bool = False) -> NDArray[np.bool_]:
    """Each address is written once, however many rows have it."""
    packed = np.ascontiguousarray(column).view("V16").ravel()
    if not len(packed) or not text:
        return np.full(len(packed), bool(not text))
    if not set(text) <= set("0123456789abcdef.:[]"):
        return np.zeros(len(packed), np.bool_)
    unique, which = np.unique(packed, return_inverse=True)
    texts = [address(bytes(one)) for one in unique]
    hits = [one.endswith(text) if at_end else text in one for one in texts]
    return np.array(hits, np.bool_)[which]


def _with_port(column: Any, text: str, at_begin: bool = False) -> NDArray[np.bool_]:
    if not text:
        return np.ones(len(column), np.bool_)
    if not text.isdecimal():
        return np.zeros(len(column), np.bool_)
    ports, which = np.unique(column, return_inverse=True)
    texts = [str(port) for port in ports.tolist()]
    hits = [one.startswith(text) if at_begin else text in one for one in texts]
    return np.array(hits, np.bool_)[which] if hits else np.zeros(len(column), np.bool_)


CONNECTIONS = Pane(2, "Connections", HEADINGS, Open, attaches=("connections",), short="Conns")
