"""The layout of the built object, and records made from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tracer.wire import layout
from tracer.wire.layout import Layout

# how long one example takes is the machine's business
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

OBJECT = Path(__file__).resolve().parents[2] / "tracer" / "_bpf" / "tcptrace.bpf.o"


@pytest.fixture(scope="session")
def wire() -> Layout:
    """The layout that the object's BTF gives."""
    return layout.load(OBJECT)
