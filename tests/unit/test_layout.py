"""The wire's layout: pinned, and able to travel in a recording."""

from __future__ import annotations

import json
import os
from pathlib import Path

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
