"""The BTF of the compiled object: the structs, enums and constants of bpf/events.h.

The format is described in the kernel's Documentation/bpf/btf.rst. Only an object's own, small BTF
is decoded, as the object is built (tracer/wire/built.py); the kernel's is asked through libbpf.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tracer.errors import TracerError

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
        """Take what stands beside an object. Errors: OSError, TracerError: it is of another."""
        try:
            told = json.loads(beside(path).read_bytes())
            same = told["crc32"] == zlib.crc32(path.read_bytes())
        except ValueError:
            same = False
        if not same:
            advice = "build it anew: make clean setup"
            raise TracerError(f"{beside(path)} was not built with {path.name}", advice)
        symbols = {name: (where, at, size) for name, (where, at, size) in told["symbols"].items()}
        return cls([_restored(*row) for row in told["types"]], symbols)

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


def beside(path: Path) -> Path:
    """Where an object's types are written."""
    return path.with_suffix(".json")


def _restored(
    kind: int,
    name: str,
    size: int,
    ref: int,
    count: int,
    signed: bool,
    members: list[tuple[str, int, int]],
    values: list[tuple[str, int]],
) -> Type:
    found = tuple(Member(*one) for one in members)
    named = tuple((key, value) for key, value in values)
    return Type(kind, name, size, ref, count, signed, found, named)


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
