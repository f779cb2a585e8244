"""Functions of an ELF file, by offset in the file: of its symbol table, or what it exports.

The file is anybody's: what is wrong with it, or is too large, only means that nothing is known.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile
from numpy.typing import NDArray

MOST_BYTES = 64 << 20  # of symbols, and of their names
MOST_HEADERS = 4096
LONGEST_NAME = 512
_FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_EXECUTABLE = 1  # PF_X
_MASK = (1 << 64) - 1
_ALIKE = 16
_ENCLOSING = 16  # functions that begin inside another are few
_FIELDS = {
    64: [("name", 4), ("info", 1), ("other", 1), ("section", 2), ("value", 8), ("size", 8)],
    32: [("name", 4), ("value", 4), ("size", 4), ("info", 1), ("other", 1), ("section", 2)],
}


class Functions:
    """Made of an open file, which is not needed any more then. Errors: ValueError and others."""

    def __init__(self, fd: int) -> None:
        self._size = os.fstat(fd).st_size
        with os.fdopen(os.dup(fd), "rb") as file:
            stream: Any = Bounded(file, self._size)
            elf = ELFFile(stream)
            if max(elf.num_sections(), elf.num_segments()) > MOST_HEADERS:
                raise ValueError("too many headers")
            self._spans = list(spans(elf))
            tables = [self._read(fd, elf, kind) for kind in ("SHT_SYMTAB", "SHT_DYNSYM")]
        self._tables = [table for table in tables if table is not None]

    def find(self, offset: int) -> tuple[str, int] | None:
        """The function that lies at an offset in the file, and how far behind its begin."""
        for begin, end, address in self._spans:
            if begin <= offset < end:
                place = offset - begin + address & _MASK
                break
        else:
            return None
        for symbols, names in self._tables:
            found = _find(symbols, names, place)
            if found is not None:
                return found
        return None

    @property
    def weight(self) -> int:
        """Bytes that it takes up."""
        return sum(symbols.nbytes + len(names) for symbols, names in self._tables)

    def _read(self, fd: int, elf: Any, kind: str) -> tuple[NDArray[Any], bytes] | None:
        for i in range(elf.num_sections()):
            header = elf._get_section_header(i)
            if header["sh_type"] != kind:
                continue
            order = "<" if elf.little_endian else ">"
            form = np.dtype([(name, f"{order}u{n}") for name, n in _FIELDS[elf.elfclass]])
            if not 0 < header["sh_link"] < elf.num_sections():
                return None
            linked = elf._get_section_header(header["sh_link"])
            if not (self._is_there(header) and self._is_there(linked)):
                return None
            data = os.pread(fd, header["sh_size"], header["sh_offset"])
            names = os.pread(fd, linked["sh_size"], linked["sh_offset"])
            symbols = np.frombuffer(data[: len(data) // form.itemsize * form.itemsize], form)
            chosen = np.isin(symbols["info"] & 0xF, _FUNCTIONS) & (symbols["section"] != 0)
            symbols = symbols[chosen & (symbols["name"] < len(names))]
            return symbols[np.argsort(symbols["value"], kind="stable")], names
        return None

    def _is_there(self, header: Any) -> bool:
        size: int = header["sh_size"]
        return size <= MOST_BYTES and header["sh_offset"] + size <= self._size


class Bounded(io.BufferedIOBase):
    """A file of which nobody reads much at once: a header may ask for all of the memory."""

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._end = file, size

    def read(self, size: int | None = -1, /) -> bytes:
        """Fewer bytes than are asked for, where that is many."""
        most = min(self._end, 1 << 16)
        found: bytes = self._file.read(most if size is None or size < 0 else min(size, most))
        return found

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file."""
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        """As of any file."""
        return int(self._file.tell())


def spans(elf: Any) -> Any:
    """Begin and end in the file of each part that is code, and its address by the file."""
    for i in range(elf.num_segments()):
        header = elf._get_segment_header(i)
        if header["p_type"] == "PT_LOAD" and header["p_flags"] & _EXECUTABLE:
            begin = header["p_offset"]
            yield begin, begin + header["p_filesz"], header["p_vaddr"]


def _find(symbols: NDArray[Any], names: bytes, place: int) -> tuple[str, int] | None:
    last = int(np.searchsorted(symbols["value"], np.uint64(place), "right")) - 1
    for i in range(last, max(-1, last - _ENCLOSING), -1):
        begin, size = int(symbols["value"][i]), int(symbols["size"][i])
        # one of assembly may have no size: it goes on to the next, at most
        if place < begin + size or (not size and i == last):
            # what a library exports has several names; hostile files may have any number
            first = int(np.searchsorted(symbols["value"], symbols["value"][i]))
            some = range(max(first, i - _ALIKE), i + 1)
            alike = {_name(names, int(symbols["name"][n])) for n in some}
            plainest = min(alike, key=lambda name: (not name, name.startswith("_"), name))
            return (plainest, place - begin) if plainest else None
    return None


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at, at + LONGEST_NAME)
    return names[at : end if end >= 0 else at + LONGEST_NAME].decode("utf-8", "replace")
