"""Ephemeral ports of which something is not known: their range, or what is in use."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.unit.test_ports import NETNS, SERVER, packed, rows
from tracer.attribution.processes import ProcessTable
from tracer.kernel import iterators, sysctls
from tracer.views.columns import Facts
from tracer.views.port_counts import PortCounts
from tracer.views.port_rows import Row
from tracer.views.text import Clock
from tracer.wire.batch import Batch
from tracer.wire.head import Head
from tracer.wire.layout import Layout

BEGIN, SECOND = 100 * 10**9, 10**9
SETTINGS = {"ip_local_port_range": "40000\t40099"}


def counts(wire: Layout, **filters: str) -> PortCounts:
    head = Head(wire, {}, BEGIN, 0, True, "vm", "6.1", (), filters, (), {}, ())
    return PortCounts(Facts(wire, ProcessTable(0, 0), Clock(0, utc=True)), head, traces=True)


def look(to: PortCounts, wire: Layout, count: int) -> None:
    found = [("ESTABLISHED", "10.0.0.1", 40000 + n, "10.0.0.9", SERVER) for n in range(count)]
    to.look(rows(wire, *found), np.ones(count, np.bool_))


def opens(to: PortCounts, wire: Layout, *ports: int) -> None:
    made = np.zeros(len(ports), wire.dtypes["handshake"])
    made["role"] = wire.enums["role"]["ACTIVE"]
    made["outcome"] = wire.enums["outcome"]["OK"]
    made["netns"], made["mono_ns"], made["rport"] = NETNS, BEGIN + SECOND, SERVER
    made["laddr"] = np.frombuffer(packed("10.0.0.1"), np.uint8)
    made["raddr"] = np.frombuffer(packed("10.0.0.9"), np.uint8)
    made["lport"] = ports
    to.gather(Batch({"handshake": made}))


def only(to: PortCounts, seconds: int = 10) -> Row:
    (row,) = to.rows(seconds * SECOND, True)
    return row


def test_what_is_in_use_is_told_without_its_range_and_what_is_free_is_not(wire: Layout) -> None:
    made = counts(wire)
    look(made, wire, 7)
    row = only(made)
    assert (row.in_use, row.free, row.ports, row.used) == (7, None, None, None)


def test_what_was_opened_before_its_range_was_known_counts(wire: Layout) -> None:
    made = counts(wire)
    look(made, wire, 0)
    opens(made, wire, 40001, 40002, 40001, 50000)
    opens(made, wire, 40002)
    made.sysctls({NETNS: SETTINGS})
    opens(made, wire, 40003, 50000)
    look(made, wire, 2)
    assert only(made).opens == 5


def test_without_a_look_at_the_end_nothing_is_in_use_or_free(wire: Layout) -> None:
    made = counts(wire)
    made.sysctls({NETNS: SETTINGS})
    look(made, wire, 3)
    opens(made, wire, 40001)
    made.not_looked()
    row = only(made)
    assert (row.opens, row.in_use, row.time_wait, row.free, row.used) == (1, *[None] * 4)


def test_of_a_part_growth_is_told_by_the_looks_within_it(wire: Layout) -> None:
    made = counts(wire, SINCE="+60s")
    made.sysctls({NETNS: SETTINGS})
    look(made, wire, 1)  # the recording's first, long before
    made.tick(BEGIN + 2 * SECOND)
    look(made, wire, 40)
    made.tick(BEGIN + 10 * SECOND)
    look(made, wire, 60)
    pace = only(made).pace
    assert pace is not None
    assert pace.grows == 20 / 8


def test_of_a_part_with_one_look_no_growth_is_told(wire: Layout) -> None:
    made = counts(wire, SINCE="+60s")
    made.sysctls({NETNS: SETTINGS})
    look(made, wire, 1)
    made.tick(BEGIN + 10 * SECOND)
    look(made, wire, 60)
    row = only(made)
    assert (row.in_use, row.pace, row.exhausted_in_s) == (60, None, None)


def test_settings_of_the_own_namespace_are_read_without_entering_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = os.stat("/proc/self/ns/net").st_ino

    def refused(path: str, work: object) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(iterators, "in_namespace", refused)
    assert sysctls.read({own})[own]["ip_local_port_range"]
