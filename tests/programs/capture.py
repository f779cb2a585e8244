"""Packets of a namespace's device, stamped by the kernel: a witness with a clock of its own.

A packet socket keeps them, with the moment each was handed to the device or taken from it, until
the test has ended: nothing runs beside what is measured.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.harness import Namespace
from tests.programs.places import inside

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35  # include/uapi/asm-generic/socket.h
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS = 263, 6  # include/uapi/linux/if_packet.h
BUFFER = 64 << 20
FLAGS = {0x02: "syn", 0x12: "synack", 0x10: "ack"}
Moments = dict[str, int]


@dataclass(frozen=True)
class Packet:
    """A TCP packet over IPv4: when it was seen, going out or coming in, its ports and its flags."""

    moment_ns: int
    sent: bool
    source: int
    target: int
    flags: int


@contextmanager
def capture(ns: Namespace, port: int, device: str = "lo") -> Iterator[list[Packet]]:
    """A list that holds, once the `with` block has ended, the packets to and from this port."""
    found: list[Packet] = []
    with inside(ns, lambda: _open(device)) as seen:
        yield found
        packets, dropped = struct.unpack("II", seen.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        assert dropped == 0, f"{dropped} of {packets} packets found no room"
        found += (packet for packet in _read(seen) if port in (packet.source, packet.target))


def _open(device: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.bind((device, ETH_P_ALL))
    made.setblocking(False)
    return made


def _read(seen: socket.socket) -> Iterator[Packet]:
    while True:
        try:
            data, ancillary, _, (_, _, kind, _, _) = seen.recvmsg(128, 64)
        except BlockingIOError:
            return
        if data[0] >> 4 != 4 or data[9] != socket.IPPROTO_TCP:
            continue
        tcp = data[4 * (data[0] & 15) :]
        source, target = struct.unpack_from("!HH", tcp)
        ((_, _, stamp),) = ancillary
        seconds, nanoseconds = struct.unpack("qq", stamp)
        sent = kind == socket.PACKET_OUTGOING
        yield Packet(seconds * 10**9 + nanoseconds, sent, source, target, tcp[13])


def moments(packets: list[Packet], port: int, of_caller: bool) -> dict[int, Moments]:
    """When the first `syn`, `synack` and `ack` passed one side's device, ns, by the caller's port.

    That side's own are taken as they go out, the other's as they come in: a loopback has both.
    """
    found: dict[int, Moments] = {}
    for packet in packets:
        by_caller = packet.target == port
        if packet.flags in FLAGS and packet.sent == (by_caller == of_caller):
            caller = packet.source if by_caller else packet.target
            found.setdefault(caller, {}).setdefault(FLAGS[packet.flags], packet.moment_ns)
    return found
