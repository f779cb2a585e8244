"""What did not end between two looks, and what came by the window, as rules see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import Space
from tracer.advice.lasting import HalfClosed, Ownerless, Receiving
from tracer.advice.owner import Owner
from tracer.flows.owners import FULL, ORPHAN
from tracer.flows.resets import idle_spans
from tracer.views.advise_looks import by_owner
from tracer.views.columns import Facts
from tracer.views.text import address
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records

RCVBUF_SET = 32  # bpf/events.h: TT_OPEN_
FILLED = 0.5  # of the window in each round trip, over the whole time
UNREAD = 0.25  # of the window: more is a program that reads too slowly
LEAST = 10  # windows that came: fewer are a burst


WANTED = ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK")


class Lasting:
    """Connections that were there at both looks."""

    def __init__(
        self,
        facts: Facts,
        owner: Callable[[int, int], Owner],
        spaces: Sequence[Space],
        first: Records,
        last: Records,
    ) -> None:
        self._facts, self._owner = facts, owner
        self._spaces = {one.netns: one for one in spaces}
        self._states = facts.layout.enums["tcp_state"]
        self._all = last
        # the others are told of by nobody, and may be many: rows are long
        then = first[self._in(first, *WANTED)]
        now = last[self._in(last, *WANTED)]
        _, i, j = np.intersect1d(now["cookie"], then["cookie"], return_indices=True)
        self._now, self._then = now[i], then[j]

    def _in(self, rows: Records, *states: str) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.isin(rows["state"], [self._states[name] for name in states])
        return found

    # --- what does not end ----------------------------------------------------

    def half_closed(self) -> Iterator[HalfClosed]:
        """By process: what it has shut down and holds, and nothing comes any more."""
        all_held = self._all[self._in(self._all, "FIN_WAIT2") & _is_held(self._all)]
        kept = self._in(self._now, "FIN_WAIT2") & self._in(self._then, "FIN_WAIT2")
        kept &= _is_held(self._now) & (self._now["rx_bytes"] == self._then["rx_bytes"])
        rows = self._now[kept]
        for (pid, start), mine in by_owner(rows):
            spans, known = idle_spans(mine)
            longest = int(np.where(known, spans, 0).argmax())
            yield HalfClosed(
                self._owner(pid, start),
                int(((all_held["pid"] == pid) & (all_held["start"] == start)).sum()),
                len(mine),
                int(spans[longest]) / 1e9 if known[longest] else 0.0,
                self._peer(mine[longest]),
                int(mine["netns"][0]),
            )

    def ownerless(self) -> Iterator[Ownerless]:
        """By namespace: what no process has any more."""
        now, then = self._now, self._then
        stays = _is_ownerless(now) & _is_ownerless(then) & (now["state"] == then["state"])
        waiting = stays & self._in(now, "FIN_WAIT2")
        unacknowledged = stays & self._in(now, "FIN_WAIT1", "CLOSING", "LAST_ACK")
        orphans = (self._all["flags"] & ORPHAN) > 0
        for netns in distinct(self._all["netns"]).tolist():
            space = self._spaces.get(netns) or Space(netns, f"network namespace {netns}")
            here = now["netns"] == netns
            yield Ownerless(
                netns,
                space.name,
                int((waiting & here).sum()),
                int((unacknowledged & here).sum()),
                int((orphans & (self._all["netns"] == netns)).sum()),
                _number(space, "tcp_fin_timeout"),
                _number(space, "tcp_max_orphans"),
            )

    # --- what the window lets through -----------------------------------------

    def receiving(self) -> Iterator[Receiving]:
        """By process: what got a window in each round trip, and reads what it gets."""
        if "rcv_window" not in (self._now.dtype.names or ()):
            return  # a recording of an earlier version
        now, then = self._now, self._then
        took_s = (now["mono_ns"].astype(np.int64) - then["mono_ns"].astype(np.int64)) / 1e9
        came = now["rx_bytes"].astype(np.float64) - then["rx_bytes"].astype(np.float64)
        per_s = np.where(took_s > 0, came / np.maximum(took_s, 1e-9), 0.0)
        window = np.maximum(now["rcv_window"], then["rcv_window"]).astype(np.float64)
        full = per_s * now["min_rtt_us"] / 1e6 >= FILLED * np.maximum(window, 1)
        reads = np.maximum(now["recv_queue"], then["recv_queue"]) <= UNREAD * window
        held = full & reads & (came >= LEAST * window) & (now["pid"] > 0)
        held &= self._in(now, "ESTABLISHED")
        keys = set(zip(now["pid"][held].tolist(), now["start"][held].tolist(), strict=True))
        for pid, start in sorted(keys):
            mine = np.flatnonzero(held & (now["pid"] == pid) & (now["start"] == start))
            most = mine[per_s[mine].argmax()]
            yield self._receiving(now[most], float(per_s[most]), int(window[most]), len(mine))

    def _receiving(self, row: np.void, per_s: float, window: int, count: int) -> Receiving:
        netns = int(row["netns"])
        space = self._spaces.get(netns) or Space(netns, "")
        grows = _number(space, "tcp_moderate_rcvbuf")
        sizes = space.settings.get("tcp_rmem", "").split()
        return Receiving(
            self._owner(int(row["pid"]), int(row["start"])),
            self._peer(row),
            count,
            per_s,
            int(row["min_rtt_us"]) / 1e6,
            window,
            int(row["rcvbuf"]),
            bool(row["flags"] & RCVBUF_SET),
            None if grows is None else bool(grows),
            int(sizes[2]) if len(sizes) == 3 else None,
            space.grown.get("TCPRcvCollapsed", 0),
            space.grown.get("PruneCalled", 0),
            netns,
        )

    def _peer(self, row: np.void) -> str:
        return self._facts.endpoint(address(bytes(row["raddr"])), int(row["rport"]))


def _is_held(rows: Records) -> NDArray[np.bool_]:
    """By a process that is known; whose an orphan was may be known as well."""
    held: NDArray[np.bool_] = ~_is_ownerless(rows) & (rows["pid"] > 0)
    return held


def _is_ownerless(rows: Records) -> NDArray[np.bool_]:
    """Closed by all who had it. A mini-socket is what is left of such a one."""
    ownerless: NDArray[np.bool_] = (rows["flags"] & (FULL | ORPHAN)) != FULL
    return ownerless


def _number(space: Space, name: str) -> int | None:
    told = space.settings.get(name, "")
    return int(told) if told.isdigit() else None
