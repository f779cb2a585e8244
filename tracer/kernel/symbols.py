"""Where functions lie in the running kernel: their ranges of addresses, from /proc/kallsyms.

Lines are in order of address for what is built in, so a function ends where the next one begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tracer.kernel import preflight

KALLSYMS = Path("/proc/kallsyms")
_CHUNK = 1 << 20

Range = tuple[int, int]


@cache
def of_kernel(names: tuple[str, ...]) -> dict[str, list[Range]]:
    """`ranges` of the running kernel: what is built in stays where it is, and the file is long."""
    return ranges(names)


def ranges(names: Iterable[str], path: Path = KALLSYMS) -> dict[str, list[Range]]:
    """Ranges (from, to) of each function that is there, and of the part moved to `NAME.cold`.

    Errors: NotPermittedError, UnsupportedError where addresses are hidden (kernel.kptr_restrict).
    """
    text = _read(path)
    found: dict[str, list[Range]] = {}
    for name in names:
        for spelt in (name, f"{name}.cold"):
            at = _find(text, spelt.encode())
            if at is not None:
                found.setdefault(name, []).append(_range(text, at))
    return found


def _read(path: Path) -> bytes:
    """The whole file: the kernel writes it a page at a time, however much is asked for."""
    parts = []
    with path.open("rb", buffering=0) as file:
        while part := os.read(file.fileno(), _CHUNK):
            parts.append(part)
    return b"".join(parts)


def _find(text: bytes, name: bytes) -> int | None:
    """Where the line of a function begins."""
    for kind in (b" T ", b" t "):
        at = text.find(kind + name + b"\n")
        if at >= 0:
            return text.rfind(b"\n", 0, at) + 1
    return None


def _range(text: bytes, at: int) -> Range:
    start = int(text[at : text.index(b" ", at)], 16)
    if not start:
        raise preflight.hidden_addresses()
    while True:
        at = text.index(b"\n", at) + 1
        end = int(text[at : text.index(b" ", at)], 16)
        if end != start:  # else another name of the same function
            return start, end
