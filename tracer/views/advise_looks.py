"""What became of a connection between two looks, as rules see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tracer.advice.evidence import HeldBack, Owner, Unread
from tracer.views.columns import Facts
from tracer.views.text import address
from tracer.wire.layout import Records

MUCH = 4096  # bytes unread; fewer are what TLS leaves behind on an idle connection
MOST = 0.5  # of the time between the looks
_LIMITS = {"rwnd": "rwnd_limited_ns", "sndbuf": "sndbuf_limited_ns"}
MUCH_PER_S = 1_000_000  # bytes; of what sends less, nobody asks why it is not faster


class Looks:
    """The first and the last look at connections, and when they were."""

    def __init__(self) -> None:
        self.first: Records | None = None
        self.last: Records | None = None
        self._first_ns = self._last_ns = 0

    def take(self, rows: Records, now_ns: int) -> None:
        """Take a look; `now_ns` is good to a tick, and of use where rows say no moment."""
        self.last, self._last_ns = rows, int(rows["mono_ns"].max()) if len(rows) else now_ns
        if self.first is None:
            self.first, self._first_ns = rows, self._last_ns

    @property
    def both(self) -> tuple[Records, Records] | None:
        """The first and the last, if they are two."""
        if self.first is None or self.last is None or self.first is self.last:
            return None
        return self.first, self.last

    def apart_ns(self) -> int:
        """How long from the first to the last."""
        return max(0, self._last_ns - self._first_ns)


class TwoLooks:
    """Established connections that were there at both looks, and taken by a process."""

    def __init__(
        self,
        facts: Facts,
        owner: Callable[[int, int], Owner],
        first: Records,
        last: Records,
    ) -> None:
        self._facts, self._owner = facts, owner
        now, then = self._open(last), self._open(first)
        _, i, j = np.intersect1d(now["cookie"], then["cookie"], return_indices=True)
        self._now, self._then = now[i], then[j]

    def _open(self, rows: Records) -> Records:
        enums = self._facts.layout.enums
        taken = rows["owner_is"] != enums["owner_is"]["LISTENER"]
        found: Records = rows[(rows["state"] == enums["tcp_state"]["ESTABLISHED"]) & taken]
        return found

    def _grown(self, name: str) -> NDArray[np.int64]:
        now, then = (rows[name].astype(np.int64) for rows in (self._now, self._then))
        found: NDArray[np.int64] = now - then
        return found

    def unread(self) -> Iterator[Unread]:
        """Who has not read anything, by process, where much waits."""
        now, then = self._now, self._then
        same = now["rx_bytes"] - now["recv_queue"] == then["rx_bytes"] - then["recv_queue"]
        still = same & (now["recv_queue"] >= MUCH) & (then["recv_queue"] > 0)
        for owner, mine, before in _by_owner(now[still], then[still]):
            waits = int(mine["recv_queue"].sum())
            yield Unread(
                self._owner(*owner),
                len(mine),
                waits,
                int(mine["recv_queue"].max()),
                waits - int(before["recv_queue"].sum()),
                int(mine["netns"][0]),
            )

    def resent_to(self) -> dict[int, tuple[str, int]]:
        """By namespace the peer to which most was sent again meanwhile, and how many segments."""
        again = self._now["retransmits"].astype(np.int64) - self._then["retransmits"]
        counts = Counter[tuple[int, bytes]]()
        for row, count in zip(self._now[again > 0], again[again > 0].tolist(), strict=True):
            counts[int(row["netns"]), bytes(row["raddr"])] += count
        found: dict[int, tuple[str, int]] = {}
        for (netns, host), count in counts.most_common():
            found.setdefault(netns, (address(host), count))
        return found

    def held_back(self) -> Iterator[HeldBack]:
        """Who sent nothing for most of the time, by process and by what kept it.

        It is the application where TCP was idle, though much was sent: see MUCH_PER_S.
        """
        now, then = self._now, self._then
        between = self._grown("mono_ns")
        limited = {by: self._grown(name) for by, name in _LIMITS.items()}
        much = self._grown("tx_bytes") * 1e9 >= MUCH_PER_S * between
        limited["application"] = np.where(much, between - self._grown("busy_ns"), 0)
        for by, times in limited.items():
            held = (times >= MOST * between) & (between > 0)
            for owner, mine, before in _by_owner(now[held], then[held]):
                its_times = times[held][is_of(now[held], owner)]
                longest = int(its_times.argmax())
                row = mine[longest]
                took_ns = int(row["mono_ns"]) - int(before[longest]["mono_ns"])
                sent = int(mine["tx_bytes"].sum()) - int(before["tx_bytes"].sum())
                yield HeldBack(
                    self._owner(*owner),
                    by,
                    self._facts.endpoint(address(bytes(row["raddr"])), int(row["rport"])),
                    len(mine),
                    min(int(its_times[longest]), took_ns) / 1e9,
                    sent * 1e9 / took_ns,
                    int(row["srtt_us"]) / 1e6,
                    int(row["netns"]),
                )


def is_of(rows: Records, owner: tuple[int, int]) -> NDArray[np.bool_]:
    """Which rows are this process's."""
    found: NDArray[np.bool_] = (rows["pid"] == owner[0]) & (rows["start"] == owner[1])
    return found


def by_owner(rows: Records) -> Iterator[tuple[tuple[int, int], Records]]:
    """Rows of each process, (tgid, start), that has any."""
    for owner in sorted(set(zip(rows["pid"].tolist(), rows["start"].tolist(), strict=True))):
        yield owner, rows[is_of(rows, owner)]


def _by_owner(now: Records, then: Records) -> Iterator[tuple[tuple[int, int], Records, Records]]:
    owners = {(int(row["pid"]), int(row["start"])) for row in now if row["pid"]}
    for owner in sorted(owners):
        mine = is_of(now, owner)
        yield owner, now[mine], then[mine]
