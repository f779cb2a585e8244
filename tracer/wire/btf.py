"""Read the BTF of the compiled object: the structs, enums and constants of bpf/events.h.

The format is described in the kernel's Documentation/bpf/btf.rst. Only an object's own, small BTF
is read here; the kernel's is asked through libbpf.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = 1, 2, 3, 4, 5, 6, 7, 8
VOLATILE, CONST, RESTRICT, FUNC, FUNC_PROTO, VAR, DATASEC, FLOAT = 9, 10, 11, 12, 13, 14, 15, 16
DECL_TAG, TYPE_TAG, ENUM64 = 17, 18, 19

_MAGIC = 0xEB9F
_SIGNED = 1


@dataclass(frozen=True)
class Member:
    """A struct's or union's member; `offset` in bytes."""

    name: str
    type: int
    offset: int


@dataclass(frozen=True)
class Type:
    """One BTF type: `ref` is what a typedef, qualifier or array is made of."""

    kind: int
    name: str
    size: int = 0
    ref: int = 0
    count: int = 0
    signed: bool = False
    members: tuple[Member, ...] = ()
    values: tuple[tuple[str, int], ...] = field(default=())


class Btf:
    """The types of one object, and where its settings lie in their section."""

    def __init__(self, types: list[Type], symbols: dict[str, tuple[str, int, int]]) -> None:
        self.types = types
        self.symbols = symbols

    @classmethod
    def load(cls, path: Path) -> Btf:
        """Read the .BTF section and the symbols of data sections. Errors: OSError, ValueError."""
        with path.open("rb") as file:
            elf = ELFFile(file)
            section = elf.get_section_by_name(".BTF")
            if section is None:
                raise ValueError(f"{path} has no .BTF section")
            return cls(parse(section.data()), _variables(elf))

    @cached_property
    def _named(self) -> dict[tuple[int, str], int]:
        return {(t.kind, t.name): i for i, t in enumerate(self.types) if t.name}

    def find(self, kind: int, name: str) -> Type:
        """Return the struct, enum or typedef of that name. Errors: KeyError."""
        return self.types[self._named[kind, name]]

    def strip(self, index: int) -> Type:
        """Follow typedefs and qualifiers to the type underneath."""
        found = self.types[index]
        while found.kind in (TYPEDEF, CONST, VOLATILE, RESTRICT, TYPE_TAG):
            found = self.types[found.ref]
        return found

    def typedef_name(self, index: int) -> str:
        """Name of the outermost typedef: what the field means; empty where there is none."""
        found = self.types[index]
        while found.kind in (CONST, VOLATILE, RESTRICT):
            found = self.types[found.ref]
        return found.name if found.kind == TYPEDEF else ""

    def enum_values(self, name: str) -> dict[str, int]:
        """Value of every name of an enum."""
        return dict(self.find(ENUM, name).values)


# Elf64_Sym, of which thousands are labels: pyelftools makes an object of each
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
_OBJECT = 1  # STT_OBJECT


def _variables(elf: ELFFile) -> dict[str, tuple[str, int, int]]:
    """Section, offset and size of each variable."""
    table: Any = elf.get_section_by_name(".symtab")
    if table is None:
        return {}
    names: bytes = elf.get_section(table["sh_link"]).data()
    symbols = np.frombuffer(table.data(), _SYMBOL)
    found = {}
    for symbol in symbols[(symbols["info"] & 0xF) == _OBJECT].tolist():
        name, _, _, section, value, size = symbol
        text = names[name : names.index(b"\0", name)].decode()
        found[text] = (elf.get_section(section).name, value, size)
    return found


def parse(data: bytes) -> list[Type]:
    """Decode a .BTF section: type 0 is void. Errors: ValueError."""
    magic, _, _, header_length, type_off, type_len, str_off, str_len = struct.unpack_from(
        "<HBBIIIII", data
    )
    if magic != _MAGIC:
        raise ValueError("not BTF, or of the other byte order")
    strings = data[header_length + str_off :][:str_len]
    at = header_length + type_off
    end = at + type_len
    types = [Type(0, "void")]
    while at < end:
        decoded, at = _parse_one(data, at, strings)
        types.append(decoded)
    return types


def _parse_one(data: bytes, at: int, strings: bytes) -> tuple[Type, int]:
    def text(offset: int) -> str:
        return strings[offset : strings.index(b"\0", offset)].decode()

    name_off, info, size = struct.unpack_from("<III", data, at)
    at += 12
    kind, vlen = info >> 24 & 0x1F, info & 0xFFFF
    name = text(name_off)
    if kind == INT:
        (encoding,) = struct.unpack_from("<I", data, at)
        return Type(kind, name, size, signed=bool(encoding >> 24 & _SIGNED)), at + 4
    if kind == ARRAY:
        element, _, count = struct.unpack_from("<III", data, at)
        return Type(kind, name, ref=element, count=count), at + 12
    if kind in (STRUCT, UNION):
        members = []
        for i in range(vlen):
            member, type_id, offset = struct.unpack_from("<III", data, at + 12 * i)
            members.append(Member(text(member), type_id, (offset & 0xFFFFFF) // 8))
        return Type(kind, name, size, members=tuple(members)), at + 12 * vlen
    if kind == ENUM:
        pairs = [struct.unpack_from("<Ii", data, at + 8 * i) for i in range(vlen)]
        values = tuple((text(off), value) for off, value in pairs)
        return Type(kind, name, size, values=values), at + 8 * vlen
    extra = {FUNC_PROTO: 8 * vlen, VAR: 4, DATASEC: 12 * vlen, DECL_TAG: 4, ENUM64: 12 * vlen}
    return Type(kind, name, ref=size), at + extra.get(kind, 0)
