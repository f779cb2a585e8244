"""What is told of a stack: its own part of it, once, and how often."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tracer.flows.packets import PacketTable
from tracer.kernel import symbols
from tracer.views import stack_words
from tracer.views.calls import Calls
from tracer.wire.layout import Layout, load
from tracer.wire.stacks import CUT, Owned, Told, is_whole, trim

OBJECT = Path(__file__).resolve().parents[2] / "tracer/_bpf/tcptrace.bpf.o"
SYMBOLS = b"""ffffffff81000000 T first
ffffffff81000100 T do_exit
ffffffff81000180 T last
"""
OURS = ["bpf_prog_0a_tt_look_at_drop+0x9", "bpf_prog_0b_tt_drop+0x1", "bpf_trace_run4+0x7"]
WAY = ["sk_skb_reason_drop+0x90", "tcp_v4_rcv+0x91", "net_rx_action+0x13b"]
CALL = ["__sys_sendto+0x1cb", "entry_SYSCALL_64_after_hwframe+0x76"]


@pytest.fixture(scope="module")
def layout() -> Layout:
    return load(OBJECT)


def test_what_looks_at_the_packet_is_no_part_of_its_way() -> None:
    assert trim([*OURS, *WAY, *CALL]) == [*WAY, *CALL]
    # without its name, as where the kernel does not tell those of programs
    assert trim(["0xffffffffc0001234", *OURS[2:], *WAY]) == WAY
    assert trim([*WAY, *CALL]) == [*WAY, *CALL]


@pytest.mark.parametrize(
    "entry",
    ["asm_common_interrupt+0x26", "asm_sysvec_apic_timer_interrupt+0x1a", "el1h_64_irq+0x6c"],
)
def test_who_was_interrupted_by_the_packet_is_no_part_of_its_way(entry: str) -> None:
    frames = trim([*OURS, *WAY, "irq_exit_rcu+0x8e", entry, "ext4_read+0x5", *CALL])
    assert frames == [*WAY, "irq_exit_rcu+0x8e", entry]
    assert not is_whole(frames)


def test_only_a_way_that_is_known_to_its_end_says_who_called() -> None:
    assert is_whole([*WAY, *CALL])
    assert not is_whole([])
    assert not is_whole([*WAY, CUT])
    assert not is_whole(["0xffffffff81000101"])


def test_a_call_that_never_returns_is_of_the_function_that_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(SYMBOLS)
    behind = 0xFFFFFFFF81000180
    assert symbols.callers([behind], path) == {behind: "do_exit+0x80"}
    assert symbols.names([behind], path) == {behind: "last+0x0"}


def test_stacks_come_back_from_a_recording_as_they_were_told() -> None:
    told = Told({3: WAY}, {Owned(42, 7, 9): ["main+0x1 (/a\udcff)", "0x10"]})
    assert Told.from_bytes(told.to_bytes()) == told


def test_packets_are_counted_by_stack_beside_their_place(layout: Layout) -> None:
    key, value = layout.dtypes["packet_key"], layout.dtypes["packet_value"]
    pairs = np.zeros(4, np.dtype([("key", key), ("value", value)]))
    pairs["key"]["matched"] = 1, 1, 1, 0
    pairs["key"]["reason"] = 3
    pairs["key"]["stack"] = 5, 6, 0, 5
    pairs["value"]["packets"] = 10, 2, 1, 100
    table = PacketTable()
    table.set_counts(pairs, np.zeros(0, np.uint64))
    (spot,) = table.packets
    assert table.packets[spot] == 13
    assert table.stacks == {(spot, 5): 10, (spot, 6): 2}
    before = table.copy()
    pairs["value"]["packets"] = 11, 2, 1, 100
    table.set_counts(pairs, np.zeros(0, np.uint64))
    assert table.since(before).stacks == {(spot, 5): 1}


def test_records_of_before_stacks_were_kept_have_none(layout: Layout) -> None:
    names = [name for name in layout.dtypes["drop"].names or () if "stack" not in name]
    older = np.zeros(3, layout.dtypes["drop"])[names]
    table = PacketTable()
    table.add(older)
    assert table.packets.total() == 3
    assert not table.stacks


def test_below_a_row_stand_its_most_frequent_stacks_and_how_many_have_others() -> None:
    stacks: stack_words.Stacks = [(9, ["a+0x1", "b+0x2"]), (5, ["c+0x3"]), (2, ["d"]), (1, ["e"])]
    lines = stack_words.below_row([*stacks, (1, ["f\x1b"]), (4, None)])
    assert lines == [
        "    9 packets:",
        "        a+0x1",
        "        b+0x2",
        "    5 packets:",
        "        c+0x3",
        "    2 packets:",
        "        d",
        "    2 packets with 2 other stacks",
        "    4 packets whose stack is not known: no room for it",
    ]
    assert stack_words.below_row([(1, ["f\x1b"])])[1] == "        f\\x1b"


def test_numbers_that_stand_for_one_way_are_put_together() -> None:
    class Known:
        calls = Calls(kernel={1: WAY, 2: WAY, 3: CALL})

    numbers = Counter({1: 5, 2: 6, 3: 7, 0x7FFFFFFF: 2, 0: 1})
    facts: object = Known
    counted = stack_words.counted(numbers, facts)  # type: ignore[arg-type]
    assert counted == [(11, WAY), (7, CALL), (3, None)]
    cell = stack_words.cell(stack_words.documents(counted))
    assert cell == f"11 {';'.join(WAY)} | 7 {';'.join(CALL)} | 3 -"


def test_the_same_way_of_many_processes_is_kept_once() -> None:
    calls = Calls()
    workers = [Owned(pid, 7, pid) for pid in range(100)]
    for worker in workers:
        calls.add(Told.from_bytes(Told(user={worker: [*CALL, "main+0x1"]}).to_bytes()))
    assert [calls.users[worker] for worker in workers] == [[*CALL, "main+0x1"]] * 100
    assert len({id(calls.users[worker]) for worker in workers}) == 1
