"""How stacks of calls are written: below a line, in a cell, below a row of a table."""

from __future__ import annotations

from collections import Counter

from tracer.views.columns import Facts, Row
from tracer.views.text import escape
from tracer.wire.stacks import Frames

INDENT = "    "
MOST = 3  # stacks below a row
Stacks = list[tuple[int, Frames | None]]  # packets, and their stack if it is known


def below(row: Row, facts: Facts) -> list[str]:
    """Lines below that of a packet: a frame each, the kernel's first, then its owner's."""
    stack, user = facts.calls.of_kernel(row), facts.calls.of_owner(row)
    if stack is None:
        return [f"{INDENT}(the kernel's stack is not known)"]
    lines = [INDENT + escape(frame) for frame in stack]
    if user is not None:
        lines += [f"{INDENT}called by {_name(row, facts)}", *(INDENT + escape(f) for f in user)]
    return lines


def _name(row: Row, facts: Facts) -> str:
    process = facts.process(row.pid, row.start)
    return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "its owner"


def within(row: Row, facts: Facts) -> str:
    """The same in one line."""
    return " < ".join(line.removeprefix(INDENT) for line in below(row, facts))


def counted(stacks: Counter[int], facts: Facts) -> Stacks:
    """Packets by stack, the most frequent first; those of no known one last."""
    sums: Counter[tuple[str, ...] | None] = Counter()
    for number, packets in stacks.items():
        # several numbers may stand for one: who was interrupted makes another
        frames = facts.calls.kernel.get(number)
        sums[tuple(frames) if frames is not None else None] += packets
    known = [(packets, frames) for frames, packets in sums.items() if frames is not None]
    found: Stacks = [(n, list(f)) for n, f in sorted(known, key=lambda pair: (-pair[0], pair[1]))]
    return [*found, (sums[None], None)] if sums[None] else found


def below_row(stacks: Stacks) -> list[str]:
    """Lines below a row of a table: its most frequent stacks, and how many have others."""
    lines = []
    known = [(packets, frames) for packets, frames in stacks if frames is not None]
    for packets, frames in known[:MOST]:
        lines.append(f"{INDENT}{_packets(packets)}:")
        lines += [INDENT * 2 + escape(frame) for frame in frames]
    rest = known[MOST:]
    if rest:
        lines.append(f"{INDENT}{_packets(sum(n for n, _ in rest))} with {len(rest)} other stacks")
    unknown = sum(packets for packets, frames in stacks if frames is None)
    if unknown:
        lines.append(f"{INDENT}{_packets(unknown)} whose stack is not known: no room for it")
    return lines


def _packets(count: int) -> str:
    return f"{count} packet{'s' if count != 1 else ''}"


def documents(stacks: Stacks) -> list[dict[str, object]]:
    """As a record has them."""
    return [{"count": packets, "stack": frames} for packets, frames in stacks]


def cell(found: list[dict[str, object]] | None) -> str:
    """The same as a cell of CSV: `13 f;g;h | 2 f;k`, `-` for one that is not known."""
    parts = []
    for one in found or ():
        frames = one["stack"]
        text = ";".join(frames) if isinstance(frames, list) else "-"
        parts.append(f"{one['count']} {text}")
    return " | ".join(parts)
