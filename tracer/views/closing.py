"""The last line of a session: what was seen, what matched, what was lost, in how long."""

from __future__ import annotations

from tracer.flows.tally import Tally
from tracer.views.text import duration


def closing(tally: Tally, span_ns: int) -> str:
    """`57120 seen, 57120 matched, 0 lost in 30.0s`, and what is out of the ordinary."""
    text = f"{tally.seen} seen, {tally.matched} matched, {tally.lost} lost in {duration(span_ns)}"
    if tally.limited:
        text += f", {tally.limited} limited"
    if tally.late:
        text += f", {tally.late} late"
    return text


class Proofs:
    """Closing lines of intervals: each counts what came since the one before."""

    def __init__(self) -> None:
        self._before = (0, 0, 0, 0)

    def line(self, tally: Tally, span_ns: int) -> str:
        """The interval's line; the next one begins here."""
        seen, matched, lost, limited = self._before
        part = Tally(seen=tally.seen - seen, matched=tally.matched - matched, late=tally.late)
        part.lost_buffer = {"all": tally.lost - lost}
        part.limited_by_kind = {"all": tally.limited - limited}
        self._before = (tally.seen, tally.matched, tally.lost, tally.limited)
        return closing(part, span_ns)


def explain_lost(tally: Tally) -> list[str]:
    """Why records were lost and what helps: a line for each cause."""
    lines = []
    buffer, room, missed = (
        sum(part.values()) for part in (tally.lost_buffer, tally.lost_map, tally.missed)
    )
    if buffer:
        of = ", ".join(f"{count} {kind}" for kind, count in tally.lost_buffer.items() if count)
        lines.append(f"lost: {buffer} found the buffer full ({of}); larger ones: --buffer-pages N")
    if tally.unmarked:
        room -= tally.unmarked
        lines.append(
            f"lost: {tally.unmarked} processes or control groups asked for found no room among"
            " those marked, and all they did is missing: ask for fewer"
        )
    if room:
        lines.append(f"lost: {room} found a map full; more room for sockets: --sockets N")
    for names, command in ((("drop", "syn_drop"), "drops"), (("reset",), "resets")):
        limited = sum(tally.limited_by_kind.get(name, 0) for name in names)
        if limited:
            lines.append(
                f"limited: {limited} beyond 1000 a second and CPU were counted, not sent;"
                f" all of them: tcptrace {command}"
            )
    if tally.lost_names:
        lines.append(f"{tally.lost_names} records that name processes found the buffer full")
    if missed:
        of = ", ".join(sorted(tally.missed))
        lines.append(f"lost: {missed} were skipped by the kernel inside another run of {of}")
    return lines


def explain_nothing(tally: Tally, options: dict[str, str]) -> list[str]:
    """With nothing matched: which filter removed how many."""
    if tally.matched or not tally.seen:
        return []
    # a command's own kinds are no filter of the user's
    refused = {n: c for n, c in tally.refused.items() if n != "KIND" or n in options}
    return [
        f"nothing matched: {options.get(name, name)} removed {count} of {tally.seen}"
        for name, count in sorted(refused.items(), key=lambda item: -item[1])
        if count
    ]
