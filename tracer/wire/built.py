"""Write beside a built object what it tells of its types and variables.

`python -m tracer.wire.built OBJECT...` is the last step of the build. pyelftools takes longer to
import than all that is read: a start of the tracer, which reads the same each time, is spared it.
"""

from __future__ import annotations

import json
import sys
import zlib
from dataclasses import astuple
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tracer.wire.btf import beside, parse


def main() -> None:
    """Write them for each object that is named."""
    for name in sys.argv[1:]:
        write(Path(name))


def write(path: Path) -> None:
    """Write it for one. Errors: OSError, ValueError, elftools.common.exceptions.ELFError."""
    with path.open("rb") as file:
        elf = ELFFile(file)
        section = elf.get_section_by_name(".BTF")
        if section is None:
            raise ValueError(f"{path} has no .BTF section")
        told = {
            "crc32": zlib.crc32(path.read_bytes()),
            "types": [astuple(one) for one in parse(section.data())],
            "symbols": _variables(elf),
        }
    new = beside(path).with_suffix(".new")
    new.write_text(json.dumps(told, separators=(",", ":")))
    new.replace(beside(path))


def _variables(elf: ELFFile) -> dict[str, tuple[str, int, int]]:
    """Section, offset and size of each."""
    found = {}
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return {}
    for symbol in table.iter_symbols():
        if symbol["st_info"]["type"] == "STT_OBJECT":
            section = elf.get_section(symbol["st_shndx"]).name
            found[symbol.name] = (section, symbol["st_value"], symbol["st_size"])
    return found


if __name__ == "__main__":
    main()
