"""What is made of the counts of drops, and where the kernel's own side of it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracer.errors import UnsupportedError
from tracer.flows.drops import DropTable, Explained, Place, Reading, explained, minus, reconcile
from tracer.kernel import iterators, netstat, symbols
from tracer.wire.layout import Layout, Records, load

OBJECT = Path(__file__).resolve().parents[2] / "tracer/_bpf/tcptrace.bpf.o"
NETNS, PORT = 4026531840, 80

SYMBOLS = b"""0000000000000000 A fixed_percpu_data
ffffffff81000000 T first
ffffffff81000100 T tcp_v4_rcv
ffffffff81000100 T __pfx_alias
ffffffff81000180 t tcp_v4_rcv.cold
ffffffff81000190 T last
"""


@pytest.fixture(scope="module")
def layout() -> Layout:
    return load(OBJECT)


def pairs(layout: Layout, *counts: tuple[str, str, str, int, int]) -> Records:
    """(cause, stage, answer, packets, cookies wanted) of each."""
    key, value = layout.dtypes["drop_key"], layout.dtypes["drop_value"]
    made = np.zeros(len(counts), np.dtype([("key", key), ("value", value)]))
    made["key"]["netns"], made["key"]["port"] = NETNS, PORT
    for i, (cause, stage, answer, packets, wanted) in enumerate(counts):
        made["key"]["cause"][i] = layout.enums["cause"][cause]
        made["key"]["stage"][i] = layout.enums["stage"][stage]
        made["key"]["answer"][i] = layout.enums["answer"][answer]
        made["value"]["packets"][i], made["value"]["wanted_cookies"][i] = packets, wanted
    return made


def test_each_cause_explains_the_counters_that_it_moves(layout: Layout) -> None:
    counts = pairs(
        layout,
        ("ACCEPT_QUEUE_FULL", "SYN", "NONE", 5, 2),
        ("ACCEPT_QUEUE_FULL", "ACK", "RST", 3, 0),
        ("SYN_QUEUE_FULL", "SYN", "NONE", 7, 0),
        ("SYN_QUEUE_FULL", "SYN", "COOKIE", 11, 11),
        ("SYN_QUEUE_RESERVE", "SYN", "NONE", 13, 0),
        ("OTHER", "SYN", "NONE", 17, 0),
    )
    assert explained(counts, layout) == {
        NETNS: {
            "ListenDrops": 5 + 3 + 7 + 13 + 17,
            "ListenOverflows": 5 + 3,
            "TCPReqQFullDrop": 7,
            "TCPReqQFullDoCookies": 2 + 11,
            "SyncookiesSent": 11,
        }
    }


def test_what_is_left_over_is_told_by_namespace() -> None:
    begin = {1: {"ListenDrops": 10}, 2: {"ListenDrops": 4}}
    end = {1: {"ListenDrops": 13}, 2: {"ListenDrops": 4}, 3: {"ListenDrops": 6}}
    told = {1: {"ListenDrops": 3}, 3: {"ListenDrops": 5}, 9: {"ListenDrops": 8}}
    found = list(reconcile(minus(end, begin), told))
    assert found == [Explained(1, "ListenDrops", 3, 3), Explained(3, "ListenDrops", 6, 5)]
    assert [one.unexplained for one in found] == [0, 1]


def test_what_moved_at_the_edges_explains_no_more_than_itself() -> None:
    first = Reading({1: {"ListenDrops": 10}}, {1: {"ListenDrops": 2}})
    last = Reading({1: {"ListenDrops": 20}}, {1: {"ListenDrops": 3}})
    kernel, edge = last.since(first)
    assert (kernel, edge) == ({1: {"ListenDrops": 13}}, {1: {"ListenDrops": 5}})
    for told, left in ((14, -1), (13, 0), (8, 0), (7, 1), (0, 8)):
        (found,) = reconcile(kernel, {1: {"ListenDrops": told}}, edge=edge)
        assert found.unexplained == left
        assert found.kernel == found.explained + found.at_edges + found.unexplained


def test_an_interval_has_what_the_one_before_has_not(layout: Layout) -> None:
    table = DropTable()
    table.set_counts(pairs(layout, ("OTHER", "SYN", "NONE", 5, 0)))
    before = table.copy()
    table.set_counts(pairs(layout, ("OTHER", "SYN", "NONE", 8, 0)))
    assert table.since(before).packets == {Place(NETNS, PORT, 0, 0, 1, 0): 3}


def test_a_function_ends_where_the_next_begins_and_its_cold_part_is_found(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(SYMBOLS)
    assert symbols.ranges(["tcp_v4_rcv", "tcp_v6_rcv"], path) == {
        "tcp_v4_rcv": [
            (0xFFFFFFFF81000100, 0xFFFFFFFF81000180),
            (0xFFFFFFFF81000180, 0xFFFFFFFF81000190),
        ]
    }


def test_hidden_addresses_are_said_to_be_hidden(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(b"0000000000000000 T a\n0000000000000000 T tcp_v4_rcv\n")
    with pytest.raises(UnsupportedError, match="hides"):
        symbols.ranges(["tcp_v4_rcv"], path)


def test_a_namespace_is_found_again_when_the_process_it_was_found_by_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = iter([{7: "/proc/0/ns/net"}, {7: "/proc/self/ns/net"}])
    monkeypatch.setattr(iterators, "network_namespaces", lambda: next(found))
    assert set(netstat.read({7})) == {7}


def test_the_counters_of_netstat_are_read_by_name() -> None:
    text = "TcpExt: A ListenDrops B\nTcpExt: 1 2 3\nIpExt: ListenDrops\nIpExt: 9\n"
    assert netstat.parse(text) == {"ListenDrops": 2}
