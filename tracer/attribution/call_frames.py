"""Who called: from a place in a program back through its callers, by the files' own .eh_frame.

Most programs keep no frame pointers, and the C library's connect() and accept() have none: the
kernel's own walk, which follows them, passes over whoever called these. How far behind the stack
pointer a function's return address lies is told for each of its places by the file, for exceptions
(DWARF 5, 6.4: call frame information). For x86-64; elsewhere the kernel's walk is all there is.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from elftools.dwarf.callframe import CallFrameInfo, RegisterRule
from elftools.dwarf.structs import DWARFStructs
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

from tracer.attribution.elf_functions import MOST_BYTES, MOST_HEADERS, Bounded, spans

BP, SP, RETURN = 6, 7, 16  # as the psABI for x86-64 numbers them
WORD = 8
MOST_FRAMES = 64
LONGEST = 1 << 16  # bytes of the entry of one function
# .eh_frame_hdr as every linker writes it: version 1, pcrel sdata4, udata4, datarel sdata4
_HEADER = b"\x01\x1b\x03\x3b"


class Step(NamedTuple):
    """How one function's frame lies: its end is `offset` above the stack or frame pointer.

    Below that end is where it returns to. `kept`: how far above it the caller's frame pointer is
    (below: negative); None: still in its register. `is_last`: nobody called it.
    """

    by_sp: bool
    offset: int
    kept: int | None
    is_last: bool = False


class CallFrames:
    """Of an open file, which is not needed any more then. Errors: ValueError and others."""

    def __init__(self, fd: int) -> None:
        size = os.fstat(fd).st_size
        with os.fdopen(os.dup(fd), "rb") as file:
            stream: Any = Bounded(file, size)
            elf: Any = ELFFile(stream)
            if max(elf.num_sections(), elf.num_segments()) > MOST_HEADERS:
                raise ValueError("too many headers")
            if elf["e_machine"] != "EM_X86_64":
                raise ValueError("of another machine")
            self._spans = list(spans(elf))
            self._begin, data = _section(fd, elf, ".eh_frame", size)
            at, index = _section(fd, elf, ".eh_frame_hdr", size)
        self._info: Any = CallFrameInfo(
            io.BytesIO(data),
            len(data),
            self._begin,
            DWARFStructs(little_endian=True, dwarf_format=32, address_size=WORD),
            for_eh_frame=True,
        )
        self._data = data
        self._table = _table(at, index) if index[:4] == _HEADER else _scan(self._begin, data)
        self.weight = len(data) + self._table.nbytes

    def find(self, offset: int) -> Step | None:
        """Of what lies at an offset in the file; None where nobody says."""
        for begin, end, address in self._spans:
            if begin <= offset < end:
                return self._step(offset - begin + address)
        return None

    def _step(self, place: int) -> Step | None:
        i = int(np.searchsorted(self._table[:, 0], place, "right")) - 1
        at = int(self._table[i, 1]) - self._begin if i >= 0 else -1
        if not 0 <= at <= len(self._data) - WORD:
            return None
        if int.from_bytes(self._data[at : at + 4], "little") > LONGEST:
            return None
        entry = self._info._parse_entry_at(at)
        begin: int = entry["initial_location"]
        if not begin <= place < begin + entry["address_range"]:
            return None
        rows = [row for row in entry.get_decoded().table if row["pc"] <= place]
        return _read(rows[-1]) if rows else None


def _section(fd: int, elf: Any, name: str, size: int) -> tuple[int, bytes]:
    """Its address by the file, and what is in it; of one that is not there, nothing."""
    found = elf.get_section_by_name(name)
    if found is None:
        return 0, b""
    length, at = found["sh_size"], found["sh_offset"]
    if length > MOST_BYTES or at + length > size:
        raise ValueError(f"a {name} that is not there")
    return found["sh_addr"], os.pread(fd, length, at)


def _table(begin: int, header: bytes) -> NDArray[np.int64]:
    """Where each function begins, and its entry: shape (n, 2), addresses by the file."""
    count = int.from_bytes(header[8:12], "little")
    pairs = np.frombuffer(header[12:], "<i4")[: 2 * count]
    return begin + pairs[: len(pairs) // 2 * 2].reshape(-1, 2).astype(np.int64)


def _scan(begin: int, data: bytes) -> NDArray[np.int64]:
    """The same of a file without an index, as those that are linked statically: one by one."""
    found, at = [], 0
    while at + 12 <= len(data):
        length, number, place = struct.unpack_from("<IIi", data, at)
        if not length or length >= 0xFFFFFFF0:
            break  # its end; or of 4 GB and more
        if number:  # of a function: where that begins, counted from here, is what follows
            found.append((begin + at + 8 + place, begin + at))
        at += 4 + length
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _read(row: dict[Any, Any]) -> Step | None:
    rule, back, bp = row["cfa"], row.get(RETURN), row.get(BP)
    if back is not None and back.type == RegisterRule.UNDEFINED:
        return Step(True, 0, None, is_last=True)
    if rule.reg not in (BP, SP) or rule.offset is None:
        return None
    if back is None or back.type != RegisterRule.OFFSET or back.arg != -WORD:
        return None
    if bp is None or bp.type == RegisterRule.SAME_VALUE:
        return Step(rule.reg == SP, rule.offset, None)
    if bp.type != RegisterRule.OFFSET:
        return None
    return Step(rule.reg == SP, rule.offset, bp.arg)


@dataclass(frozen=True)
class Seen:
    """A process as it called the kernel: registers, the stack's top, the kernel's own walk.

    `chain` is what frame pointers lead to, innermost first; `top` are words from `sp` on.
    """

    ip: int
    sp: int
    bp: int
    top: tuple[int, ...]
    chain: tuple[int, ...]

    def word(self, address: int) -> int | None:
        """What lies at an address of the stack, where that was kept."""
        i, rest = divmod(address - self.sp, WORD)
        return self.top[i] if 0 <= i < len(self.top) and not rest else None


def walk(seen: Seen, find: Callable[[int, int], Step | None]) -> tuple[list[int], bool]:
    """Addresses, innermost first, and whether that is the whole way; 0: who is there is not known.

    `find` says of an address, and of how far before it what was called lies, how its frame does.
    """
    if not seen.sp:
        return list(seen.chain), False
    found, ip = [seen.ip], seen.ip
    sp: int | None = seen.sp
    bp: int | None = seen.bp
    left = list(seen.chain[1:])  # each as `bp` comes to be used
    stands = True  # whether `left` is what `bp`, known or not, leads to
    while len(found) < MOST_FRAMES:
        step = find(ip, 1 if len(found) > 1 else 0)
        if step is None:
            # code that is made as it runs, or by Go: it says nothing, and keeps frame pointers,
            # though what is innermost may not
            gap = [0] if len(found) == 1 and left else []
            return found + gap + (left if stands else []), False
        if step.is_last:
            return found, True
        base = sp if step.by_sp else bp
        back = seen.word(base + step.offset - WORD) if base is not None else None
        follows = not step.by_sp and stands
        if back is None and follows and left:
            back, sp, bp = left.pop(0), None, None
        elif back and base is not None:
            end = base + step.offset
            if step.kept is not None:
                bp = seen.word(end + step.kept)
                stands = follows
                if follows and left:
                    left.pop(0)
            sp = end
        if not back:
            return found, False
        ip = back
        found.append(ip)
    return found, False
