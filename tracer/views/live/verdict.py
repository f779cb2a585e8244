"""The worst thing now, in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracer.views.live.parts import DropsPicture
from tracer.views.live.picture import ListenerRow, ProcessRow
from tracer.views.text import duration, per_second


@dataclass(frozen=True)
class Scene:
    """What is judged: all of the session, whatever is shown of it.

    `minute_ns` is what the processes' attempts cover, `tries` of what share of them they are;
    `unknown` says what is not known so far; `counts_whole` that counts are whole whatever is lost.
    """

    processes: Sequence[ProcessRow]
    listeners: Sequence[ListenerRow]
    drops: DropsPicture | None
    lost: int
    minute_ns: int
    unknown: str = ""
    tries: str = ""
    counts_whole: bool = False


def verdict(scene: Scene) -> tuple[bool, str]:
    """Whether something is wrong, and what: the first of these that holds."""
    said = _queues(scene.listeners) or _drops(scene)
    for row in scene.processes:  # those in most trouble first
        said = said or _process(row, scene)
    if not said and scene.lost:
        what = "histories may be" if scene.counts_whole else "what is shown is"
        said = f"{scene.lost} events were lost: {what} incomplete"
    if said:
        return True, said + (f"; {scene.unknown}" if scene.unknown else "")
    return False, scene.unknown or "nothing wrong seen yet"


def _queues(listeners: Sequence[ListenerRow]) -> str:
    full = [row for row in listeners if row.is_full]
    if full:
        worst = max(full, key=lambda row: (row.drops or 0, row.queue))
        dropped = f", {worst.drops:.0f} SYN dropped/s" if worst.drops else ""
        others = f"; {len(full) - 1} more are full" if len(full) > 1 else ""
        return (
            f"{worst.name} {worst.owner}: accept queue FULL {worst.queue}/{worst.limit}{dropped}"
            f" (limit: {worst.set_by}){others}"
        )
    dropping = [row for row in listeners if row.drops]
    if not dropping:
        return ""
    worst = max(dropping, key=lambda row: row.drops or 0)
    return f"{worst.name} {worst.owner}: {worst.drops:.0f} SYN dropped/s"


def _drops(scene: Scene) -> str:
    """Where no listener tells."""
    rows = scene.drops.rows if scene.drops is not None and not scene.listeners else []
    found = next((row for row in rows if row.rate), None)
    if found is None:
        return ""
    return f"{found.local} {found.owner}: {per_second(found.rate)} SYN dropped/s: {found.reason}"


def _process(row: ProcessRow, scene: Scene) -> str:
    """What its trouble is, in words; nothing for what may be well."""
    name, span = f"{row.name}[{row.pid}]", duration(scene.minute_ns)
    tries = f"tries ({scene.tries})" if scene.tries else "tries"
    if row.trouble == "no answer":
        late = row.late
        told = [f"{row.silent} of {row.ended} {tries} in {span} got no answer"]
        told = told if row.silent else []
        told += [f"{late} wait for an answer"] if late else []
        return f"{name}: {', '.join(told)}"
    if row.trouble == "connects fail":
        return f"{name}: {row.failed} of {row.ended} {tries} to connect failed in {span}"
    if row.trouble.startswith("CLOSE_WAIT"):
        more = f", {row.left} more in {span}" if row.left > 0 else ""
        return (
            f"{name}: {row.now['CLOSE_WAIT']} sockets in CLOSE_WAIT{more}:"
            " their peers have closed, it has not"
        )
    return ""
