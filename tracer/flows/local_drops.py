"""What listeners on this machine threw away, joined to the attempts that it befell."""

from __future__ import annotations

from typing import Any

Row = Any  # a namedtuple with the fields of one kind's dtype
MOST = 65536  # drops that are remembered
LONGEST_NS = 127_000_000_000  # until the last of tcp_syn_retries, 6 by default, is given up


class LocalDrops:
    """The last drop of each 4-tuple; records are given in time order.

    Caller and called may be in different namespaces, so none is asked for. Between them no address
    may be translated: then the two sides have no tuple in common.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[bytes, int, bytes, int], tuple[int, int]] = {}

    def add(self, drop: Row) -> None:
        """Take a syn_drop record."""
        key = (drop.laddr, drop.lport, drop.raddr, drop.rport)
        self._last.pop(key, None)
        self._last[key] = drop.mono_ns, drop.cause
        if len(self._last) > MOST:
            del self._last[next(iter(self._last))]

    def cause(self, attempt: Row, active: bool) -> int | None:
        """Why a packet of this attempt was dropped here; None if none is known to have been."""
        here, there = (attempt.laddr, attempt.lport), (attempt.raddr, attempt.rport)
        found = self._last.get((*there, *here) if active else (*here, *there))
        if found is None:
            return None
        moment_ns, cause = found
        # that of a caller began with its first SYN, that of a listener with the one it took
        span_ns = attempt.latency_ns if active and attempt.latency_ns else LONGEST_NS
        return cause if attempt.mono_ns - span_ns <= moment_ns <= attempt.mono_ns else None
