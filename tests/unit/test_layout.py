"""The wire's layout: pinned, and able to travel in a recording."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from tests.unit.conftest import OBJECT
from tracer.errors import TracerError
from tracer.wire import built
from tracer.wire.btf import Btf, beside, parse
from tracer.wire.layout import EVENTS, Layout

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "layout.json"


def test_the_layout_is_the_one_that_is_pinned(wire: Layout) -> None:
    """A change of the wire must be meant: UPDATE_GOLDEN=1 writes the file anew."""
    have = json.loads(json.dumps(wire.to_json()))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(have, indent=1, sort_keys=True) + "\n")
    assert have == json.loads(GOLDEN.read_text())


def test_records_come_in_two_sizes_within_their_limits(wire: Layout) -> None:
    assert wire.dtypes["state"].itemsize <= 96
    assert wire.dtypes["large"].itemsize <= 256
    for name in (*EVENTS, "large"):
        assert wire.dtypes[name].itemsize % 8 == 0


def test_every_record_begins_with_the_same_head(wire: Layout) -> None:
    head = wire.dtypes["head"].fields
    assert head is not None
    for name in EVENTS:
        fields = wire.dtypes[name].fields
        assert fields is not None
        for column, (form, offset) in ((c, f[:2]) for c, f in head.items()):
            assert fields[column][:2] == (form, offset)


def test_a_field_covers_every_byte_so_that_copies_are_whole(wire: Layout) -> None:
    for dtype in wire.dtypes.values():
        assert dtype.fields is not None
        assert sum(field[0].itemsize for field in dtype.fields.values()) == dtype.itemsize


def test_a_layout_survives_its_recording(wire: Layout) -> None:
    again = Layout.from_json(json.loads(json.dumps(wire.to_json())))
    assert again.dtypes == wire.dtypes
    assert again.enums == wire.enums
    assert again.meanings == wire.meanings


def test_meanings_are_the_names_of_the_c_types(wire: Layout) -> None:
    assert wire.meanings["state"]["mono_ns"] == "tt_mono_ns"
    assert wire.meanings["accept"]["listener_addr"] == "tt_addr"


def test_types_of_another_build_are_refused(tmp_path: Path) -> None:
    copy = tmp_path / OBJECT.name
    content = OBJECT.read_bytes()
    copy.write_bytes(content)
    built.write(copy)
    assert beside(copy).read_bytes() == beside(OBJECT).read_bytes()
    with copy.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".BTF")
        assert section is not None
        assert Btf.load(copy).types == parse(section.data())
    copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # as long as it was
    with pytest.raises(TracerError, match="was not built with"):
        Btf.load(copy)
    copy.write_bytes(content)
    beside(copy).write_text("{")
    with pytest.raises(TracerError, match="was not built with"):
        Btf.load(copy)


def test_a_start_does_not_wait_for_what_the_build_reads_with() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LOOK],
        check=True,
        capture_output=True,
        text=True,
        cwd=OBJECT.parents[2],
    )
    assert found.stdout == "[]\n"


LOOK = """
import sys
import tracer.cli, tracer.cli.setup, tracer.kernel.live
print([name for name in sys.modules if name.startswith("elftools")])
"""
