"""The worst thing now, in one line."""

from __future__ import annotations

from tracer.views.live.picture import Picture

MANY_CLOSE_WAIT = 100


def verdict(picture: Picture) -> tuple[bool, str]:
    """Whether something is wrong, and what: the first of these that holds."""
    full = [row for row in picture.listeners if row.is_full]
    if full:
        worst = max(full, key=lambda row: (row.drops or 0, row.queue))
        dropped = f", {worst.drops:.0f} SYN dropped/s" if worst.drops else ""
        others = f"; {len(full) - 1} more are full" if len(full) > 1 else ""
        return True, (
            f"{worst.name} {worst.owner}: accept queue FULL {worst.queue}/{worst.limit}{dropped}"
            f" (limit: {worst.set_by}){others}"
        )
    for row in picture.listeners:
        if row.drops:
            return True, f"{row.name} {row.owner}: {row.drops:.0f} SYN dropped/s"
    failing = [row for row in picture.processes if row.fails]
    if failing:
        worst_failing = max(failing, key=lambda row: row.fails or 0)
        return True, (
            f"{worst_failing.name}[{worst_failing.pid}]: {worst_failing.fails:.0f} connections"
            " fail a second (tcptrace handshakes says how)"
        )
    leaking = [row for row in picture.processes if row.now.get("CLOSE_WAIT", 0) >= MANY_CLOSE_WAIT]
    if leaking:
        worst_leak = max(leaking, key=lambda row: row.now["CLOSE_WAIT"])
        return True, (
            f"{worst_leak.name}[{worst_leak.pid}]: {worst_leak.now['CLOSE_WAIT']} sockets in"
            " CLOSE_WAIT: their peers have closed, it has not"
        )
    if picture.lost:
        return True, f"{picture.lost} events were lost: what is shown is incomplete"
    return False, "nothing wrong seen yet"
