"""Filters on records that are there already: the same meaning as in the kernel."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracer.wire.filters import Filters, mapped, port_bits
from tracer.wire.layout import Layout, Records
from tracer.wire.refuse import Mask, refuse


def _record(wire: Layout, **values: object) -> Records:
    record = np.zeros(1, wire.dtypes["state"])
    record["kind"] = wire.enums["kind"]["STATE"]
    record["family"] = 4
    for name, value in values.items():
        record[name] = value
    return record


def _address(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.frombuffer(mapped(ipaddress.ip_network(text))[0], np.uint8)


ENDS = [
    (Filters(failed=True), "state", {"old": 2, "new": 7}, {"old": 1, "new": 7}),
    (Filters(failed=True), "state", {"old": 3, "new": 7}, {"old": 2, "new": 1}),
    (Filters(failed=True), "handshake", {"outcome": 2}, {"outcome": 1}),
    (Filters(failed=True), "accept", {"error": 24}, {"error": 0}),
    (Filters(slower_ns=50), "state", {"dwell_ns": 50}, {"dwell_ns": 49}),
    (Filters(slower_ns=50), "accept", {"wait_ns": 50}, {"wait_ns": 49}),
    (
        Filters(slower_ns=50),
        "handshake",
        {"latency_ns": 50, "latency_from": 0},  # at least so long
        {"latency_ns": 49, "latency_from": 1},
    ),
]


def _everybodys(name: str, filters: Filters, records: Records) -> Mask:
    return np.ones(len(records), np.bool_)


MATCHING = [
    (Filters(ports=((80, 80),)), {"rport": 80}, {"rport": 81, "lport": 79}),
    (Filters(lports=((8000, 8010),)), {"lport": 8010}, {"lport": 8011, "rport": 8005}),
    (Filters(rports=((1, 2), (443, 443))), {"rport": 443}, {"lport": 443, "rport": 3}),
    (Filters(family=6), {"family": 6}, {"family": 4}),
    (Filters(netns=frozenset({7})), {"netns": 7}, {"netns": 8}),
    (Filters(states=frozenset({8})), {"new": 8}, {"new": 7}),
    (Filters(states=frozenset({6})), {"timewait": 6}, {"timewait": 5}),
    (Filters(kinds=frozenset({"state"})), {"kind": 1}, {"kind": 2}),
    (
        Filters(addrs=(ipaddress.ip_network("10.0.0.0/8"),)),
        {"raddr": _address("10.9.8.7")},
        {"raddr": _address("11.9.8.7"), "laddr": _address("a00::1")},
    ),
    (
        Filters(addrs=(ipaddress.ip_network("fe80::/10"),)),
        {"laddr": _address("fe80::1")},
        {"laddr": _address("fec0::1")},
    ),
]


@pytest.mark.parametrize(("filters", "good", "bad"), MATCHING)
def test_each_filter_lets_its_own_pass_and_refuses_the_rest(
    wire: Layout, filters: Filters, good: dict[str, object], bad: dict[str, object]
) -> None:
    records = np.concatenate([_record(wire, **good), _record(wire, **bad)])
    passed, refused = refuse(filters, records, wire, _everybodys)
    assert passed.tolist() == [True, False]
    assert sum(refused.values()) == 1


def test_the_first_filter_that_refuses_is_the_one_that_counts(wire: Layout) -> None:
    filters = Filters(family=6, ports=((80, 80),))
    _, refused = refuse(filters, _record(wire, lport=81), wire, _everybodys)
    assert refused == {"FAMILY": 1, "PORT": 0}


@given(st.lists(st.tuples(st.integers(1, 65535), st.integers(0, 300)), min_size=1, max_size=5))
def test_port_sets_are_the_ports_of_their_ranges(ranges: list[tuple[int, int]]) -> None:
    wanted = tuple((first, min(first + more, 65535)) for first, more in ranges)
    bits = port_bits(wanted)
    ports = {port for first, last in wanted for port in range(first, last + 1)}
    for port in range(65536):
        assert bool(int(bits[port >> 6]) >> (port & 63) & 1) == (port in ports)


@pytest.mark.parametrize(("filters", "kind", "good", "bad"), ENDS)
def test_what_failed_and_what_took_long_is_told_by_each_kind_s_own_fields(
    wire: Layout, filters: Filters, kind: str, good: dict[str, int], bad: dict[str, int]
) -> None:
    records = np.zeros(2, wire.dtypes[kind])
    for name in good:
        records[name] = good[name], bad[name]
    passed, _ = refuse(filters, records, wire, _everybodys)
    assert passed.tolist() == [True, False]


def test_every_dropped_syn_has_failed_and_took_no_time(wire: Layout) -> None:
    records = np.zeros(3, wire.dtypes["syn_drop"])
    assert refuse(Filters(failed=True), records, wire, _everybodys)[0].all()
    assert not refuse(Filters(slower_ns=1), records, wire, _everybodys)[0].any()
