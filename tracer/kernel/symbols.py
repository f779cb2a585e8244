"""Where functions lie in the running kernel, and which one an address lies in: /proc/kallsyms.

Lines are in order of address for what is built in, so a function ends where the next one begins.
Those of modules come after them, in no order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tracer.kernel import preflight

KALLSYMS = Path("/proc/kallsyms")
_CHUNK = 1 << 16
_SOME = 100  # lines: per-CPU variables, at 0, come first
_FEW = 4096  # bytes: that many are looked at line by line

Range = tuple[int, int]


@cache
def of_kernel(names: tuple[str, ...]) -> dict[str, list[Range]]:
    """`ranges` of the running kernel: what is built in stays where it is, and the file is long."""
    return ranges(names)


def ranges(names: Iterable[str], path: Path = KALLSYMS) -> dict[str, list[Range]]:
    """Ranges (from, to) of each function that is there, and of the part moved to `NAME.cold`.

    Errors: NotPermittedError, UnsupportedError where addresses are hidden (kernel.kptr_restrict).
    """
    text, spelt = _read(path), [s for name in names for s in (name, f"{name}.cold")]
    lines = _find(text, spelt)
    found: dict[str, list[Range]] = {}
    for name in spelt:
        if name in lines:
            function = name.removesuffix(".cold")
            found.setdefault(function, []).append(_range(text, lines[name]))
    return found


def _read(path: Path) -> bytes:
    """The whole file: the kernel writes it a page at a time, however much is asked for."""
    parts = []
    with path.open("rb", buffering=0) as file:
        while part := os.read(file.fileno(), _CHUNK):
            parts.append(part)
    return b"".join(parts)


def _find(text: bytes, names: list[str]) -> dict[str, int]:
    """Where the line of each function begins; one that all may call goes before others' own."""
    wanted = "|".join(re.escape(name) for name in names).encode()
    found: dict[str, re.Match[bytes]] = {}
    for match in re.finditer(rb" ([Tt]) (" + wanted + rb")\n", text):
        name = match[2].decode()
        if name not in found or (match[1], found[name][1]) == (b"T", b"t"):
            found[name] = match
    return {name: text.rfind(b"\n", 0, match.start()) + 1 for name, match in found.items()}


def _range(text: bytes, at: int) -> Range:
    start = int(text[at : text.index(b" ", at)], 16)
    if not start:
        raise preflight.hidden_addresses()
    while True:
        at = text.index(b"\n", at) + 1
        end = int(text[at : text.index(b" ", at)], 16)
        if end != start:  # else another name of the same function
            return start, end


def names(addresses: Iterable[int], path: Path = KALLSYMS) -> dict[int, str]:
    """`function+0x1f` of each address that lies in one; none where addresses are hidden."""
    found = _places(addresses, path)
    return {address: f"{name}+{offset:#x}" for address, (name, offset) in found.items()}


def callers(addresses: Iterable[int], path: Path = KALLSYMS) -> dict[int, str]:
    """The same of addresses that a call returns to: if it is the last of its function, those lie
    behind it.
    """
    found = _places([address - 1 for address in addresses], path)
    return {address + 1: f"{name}+{offset + 1:#x}" for address, (name, offset) in found.items()}


def _places(addresses: Iterable[int], path: Path) -> dict[int, tuple[str, int]]:
    """Function of each address, and how far behind its begin."""
    text = _read(path)
    built_in = text.find(b"\t[")
    end = len(text) if built_in < 0 else text.rfind(b"\n", 0, built_in) + 1
    modules = [_parsed(line) for line in text[end:].splitlines()]
    found = {}
    for address in addresses:
        near = [*_lines_before(text, end, address), *modules]
        start, name = max(
            ((at, name) for at, name, is_code in near if is_code and at <= address),
            default=(0, ""),
        )
        if start:
            found[address] = name, address - start
    return found


def are_hidden(path: Path = KALLSYMS) -> bool:
    """Whether the kernel does not tell addresses (kernel.kptr_restrict): all are 0 then."""
    with path.open("rb") as file:
        return not any(int(file.readline().split(b" ")[0] or b"0", 16) for _ in range(_SOME))


def _lines_before(text: bytes, end: int, address: int) -> list[tuple[int, str, bool]]:
    """Of the ordered part, lines that end with the last whose address is no larger."""
    low, high = 0, end  # both at the begin of a line
    while high - low > _FEW:
        middle = text.rfind(b"\n", low, (low + high) // 2) + 1 or low
        if _parsed(text[middle : text.index(b"\n", middle)])[0] <= address:
            low = middle
        else:
            high = middle
    begin = text.rfind(b"\n", 0, max(0, low - _FEW)) + 1
    return [_parsed(line) for line in text[begin:high].splitlines()]


def _parsed(line: bytes) -> tuple[int, str, bool]:
    """Address, name, and whether it is code."""
    address, kind, name, *_ = line.split()
    return int(address, 16), name.decode("ascii", "replace"), kind in b"TtWw"
