"""`advise` for a short while in one namespace, and what it finds there."""

from __future__ import annotations

from tests.harness import PATIENCE, Namespace, Record, Tracer

SPAN_S = str(2.5 * PATIENCE)


def advising(ns: Namespace) -> Tracer:
    """It ends by itself."""
    return Tracer("advise", "--netns", ns.name, "-d", SPAN_S)


def told(ns: Namespace, tracer: Tracer) -> list[Record]:
    """Its findings at the end: all of this namespace."""
    tracer.process.wait(30 * PATIENCE)
    records = tracer.stop()
    assert all(one["netns"] == ns.inode for one in records)
    return records
