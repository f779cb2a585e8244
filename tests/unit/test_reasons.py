"""What is said of the kernel's reasons to throw a packet away."""

from __future__ import annotations

import re
import struct
import subprocess
from pathlib import Path

import pytest

from tracer.attribution.processes import ProcessTable
from tracer.kernel import before_packets, packets, symbols
from tracer.views.columns import Facts
from tracer.views.text import Clock
from tracer.wire import reasons
from tracer.wire.layout import Layout
from tracer.wire.pcapng import Capture
from tracer.wire.reasons import LAYERS, REASONS, is_expected, layer_of, meaning_of

VMLINUX = "/sys/kernel/btf/vmlinux"


def of_this_kernel() -> dict[str, int]:
    """As bpftool reads them."""
    dump = ["bpftool", "btf", "dump", "file", VMLINUX, "format", "c"]
    text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    body = re.search(r"^enum skb_drop_reason \{(.*?)^\};", text, re.M | re.S)
    assert body
    found = re.findall(r"SKB_(?:DROP_REASON_)?(\w+) = (\d+)", body[1])
    return {name: int(value) for name, value in found}


def test_every_reason_of_this_kernel_is_read_with_its_number() -> None:
    told = of_this_kernel()
    assert len(told) > 100
    wanted = {value: name for name, value in told.items() if name not in packets.NO_REASONS}
    assert packets.reason_names() == wanted


def test_every_reason_of_this_kernel_has_a_layer_or_is_told_by_its_place_and_a_sentence() -> None:
    for name in packets.reason_names().values():
        known = REASONS[name]
        assert known.meaning, name
        assert known.layer in LAYERS or name in reasons._BY_PLACE, name
        assert layer_of(name, "tcp_v4_rcv") in LAYERS, name


@pytest.mark.parametrize(
    ("function", "layer"),
    [
        ("tcp_v4_rcv", "tcp"),
        ("nft_do_chain.isra.0", "netfilter"),
        ("ip_rcv_core", "ip"),
        ("__dev_xmit_skb", "qdisc"),
        ("__dev_queue_xmit", "device"),
        ("sk_stream_kill_queues", "socket"),
        ("some_drivers_own", None),
        (None, None),
    ],
)
def test_where_the_reason_does_not_tell_the_layer_the_function_does(
    function: str | None, layer: str | None
) -> None:
    assert layer_of("NOT_SPECIFIED", function) == layer
    assert layer_of("NETFILTER_DROP", function) == "netfilter"


def test_a_syn_sent_again_is_expected_and_another_packet_without_a_reason_is_not() -> None:
    assert is_expected("NOT_SPECIFIED", "tcp_v4_rcv", True)
    assert meaning_of("NOT_SPECIFIED", "tcp_v4_rcv", True) == reasons.SYN_AGAIN
    assert not is_expected("NOT_SPECIFIED", "tcp_v4_rcv", False)
    assert not is_expected("NOT_SPECIFIED", "ip_rcv_core", True)
    assert is_expected("TCP_OLD_ACK", "tcp_ack", False)
    assert not is_expected("TCP_FUTURE", "tcp_ack", False)
    assert meaning_of("TCP_FUTURE")


def test_what_came_for_a_connection_that_is_over_is_expected_where_nothing_refused_it() -> None:
    for reason in ("NOT_SPECIFIED", "TCP_RFC7323_TW_PAWS"):
        assert is_expected(reason, "tcp_v6_rcv", False, True)
        assert meaning_of(reason, "tcp_v4_rcv", False, True) == reasons.SPENT
        assert not is_expected(reason, "tcp_v4_rcv", False, False)
        # addresses are hidden, or none was kept: the socket says enough, where one is told
        assert is_expected(reason, None, False, reasons.BY_SOCKET)
    assert not is_expected("TCP_CSUM", "tcp_v4_rcv", False, True)
    assert not is_expected("NOT_SPECIFIED", "ip_rcv_core", False, True)


def test_a_fin_of_which_neither_socket_nor_place_is_told_is_shown_as_what_may_be_a_loss() -> None:
    told = "NOT_SPECIFIED", None, False, reasons.BY_FLAGS
    assert not is_expected(*told)
    assert meaning_of(*told) == reasons.MAY_BE_SPENT
    assert is_expected("NOT_SPECIFIED", "tcp_v4_rcv", False, reasons.BY_FLAGS)
    assert not is_expected("NOT_SPECIFIED", "nf_hook_slow", False, reasons.BY_FLAGS)
    assert meaning_of("NOT_SPECIFIED", "nf_hook_slow", False, reasons.BY_FLAGS) not in (
        reasons.SPENT,
        reasons.MAY_BE_SPENT,
    )


def test_the_kinds_of_what_is_spent_are_those_of_the_wire(wire: Layout) -> None:
    assert wire.enums["spent"] == {
        "NO": 0,
        "BY_SOCKET": reasons.BY_SOCKET,
        "BY_FLAGS": reasons.BY_FLAGS,
    }


@pytest.mark.parametrize("function", ["ip_forward", "ip6_forward", "ip_forward.cold"])
def test_a_bad_header_is_told_apart_from_a_ttl_that_ran_out(function: str) -> None:
    """The kernel gives both the same reason."""
    assert "TTL" in meaning_of("IP_INHDR", function)
    assert "TTL" not in meaning_of("IP_INHDR", "ip_rcv_core")
    assert layer_of("IP_INHDR", function) == "ip"


def test_reasons_of_modules_are_numbers_of_their_subsystem_and_unknown_ones_numbers(
    wire: Layout,
) -> None:
    dump = ["bpftool", "btf", "dump", "file", VMLINUX, "format", "c"]
    text = subprocess.run(dump, capture_output=True, text=True, check=True).stdout
    found = re.findall(r"SKB_DROP_REASON_SUBSYS_(\w+) = (\d+)", text)
    names = {name: int(value) for name, value in found if name != "NUM"}
    facts = Facts(
        wire,
        ProcessTable(2, 3),
        Clock(0, True),
        reasons=packets.reason_names(),
        subsystems=packets.subsystem_names(),
    )
    assert facts.reason(names["OPENVSWITCH"] << 16 | 7) == "OPENVSWITCH:7"
    assert facts.reason(of_this_kernel()["NO_SOCKET"]) == "NO_SOCKET"
    nobody = max(names.values()) + 100
    assert facts.reason(nobody << 16 | 7) == str(nobody << 16 | 7)
    assert facts.reason(0xFFF0) == str(0xFFF0)


SYMBOLS = b"""0000000000000000 A fixed_percpu_data
ffffffff81000000 T first
ffffffff81000100 T tcp_v4_rcv
ffffffff81000180 t tcp_v4_rcv.cold
ffffffff82000000 D data
ffffffffc0002000 t later\t[module]
ffffffffc0001000 t earlier\t[module]
"""


def test_an_address_lies_in_the_last_function_that_begins_before_it(tmp_path: Path) -> None:
    path = tmp_path / "kallsyms"
    path.write_bytes(SYMBOLS)
    asked = [0xFFFFFFFF81000100, 0xFFFFFFFF8100017F, 0xFFFFFFFF81000181, 0xFFFFFFFFC0001004, 16]
    assert list(symbols.names(asked, path).values()) == [
        "tcp_v4_rcv+0x0",
        "tcp_v4_rcv+0x7f",
        "tcp_v4_rcv.cold+0x1",
        "earlier+0x4",
    ]


def test_what_cpus_drop_is_read_by_cpu() -> None:
    line = "0000001f 0000000a 00000002" + " 00000000" * 9 + " 00000003 00000000 00000000"
    assert before_packets.parse_softnet(line) == {3: {"dropped": 10, "time_squeeze": 2}}


def test_a_capture_is_of_whole_blocks_of_the_length_they_say(tmp_path: Path) -> None:
    path = tmp_path / "made.pcapng"
    capture = Capture(path)
    for device in ("eth0", "eth0", "lo"):
        capture.add(10**18 + 7, device, b"x" * 41, 1500, True, "why")
    capture.close()
    data, at, kinds = path.read_bytes(), 0, []
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0
        assert struct.unpack_from("<I", data, at + length - 4) == (length,)
        kinds.append(kind)
        at += length
    assert kinds == [0x0A0D0D0A, 1, 6, 6, 1, 6]
    assert path.stat().st_mode & 0o777 == 0o600
