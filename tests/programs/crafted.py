"""A host made of packets: what SILENT sends to NEAR, byte by byte, over the card at its end."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

from tests.harness import Namespace
from tests.programs.peer import checksum
from tests.programs.places import NEAR, PORT, SILENT, inside

FIN, SYN, RST, ACK = 1, 2, 4, 16
ETH_P_IP = 0x0800
ETH_P_EXPERIMENT = 0x88B5
HERE = bytes.fromhex("020000000099")  # as add_silent_host() has the neighbour


@dataclass
class Talk:
    """A connection of the host's: its port, what it sends next, what it has heard of."""

    port: int
    sequence: int
    acked: int
    stamp: int = 0


class Host:
    """Sends what it is told to, from SILENT if not told otherwise."""

    def __init__(self, ns: Namespace) -> None:
        card = ns.run("cat", "/sys/class/net/near/address").strip()
        self._there = bytes.fromhex(card.replace(":", ""))

        def opened() -> Any:
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
            made.bind(("far", ETH_P_IP))
            made.settimeout(10)
            return made

        self._wire: socket.socket = inside(ns, opened)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *error: object) -> None:
        self._wire.close()

    def send(
        self,
        flags: int,
        port: int = 30000,
        to: int = PORT,
        sequence: int = 1,
        acked: int = 0,
        data: bytes = b"",
        options: bytes = b"",
        source: str = SILENT,
        target: str = NEAR,
        ttl: int = 64,
        good: bool = True,
    ) -> None:
        """One packet; not `good`: its TCP checksum is wrong."""
        ends = socket.inet_aton(source) + socket.inet_aton(target)
        numbers = (port, to, sequence & 0xFFFFFFFF, acked & 0xFFFFFFFF)
        length = (20 + len(options)) // 4 << 4
        tcp = struct.pack("!HHIIBBHHH", *numbers, length, flags, 65535, 0, 0) + options + data
        even = tcp + b"\0" * (len(tcp) % 2)
        checked = checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + even)
        checked = checked if good else checked ^ 0x5555
        tcp = tcp[:16] + struct.pack("!H", checked) + tcp[18:]
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, ttl, socket.IPPROTO_TCP, 0)
        ip = ip + ends
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self._wire.send(self._there + HERE + struct.pack("!H", ETH_P_IP) + ip + tcp)

    def send_unknown(self) -> None:
        """A frame of a protocol for experiments, which no kernel takes."""
        self._wire.send(self._there + HERE + struct.pack("!H", ETH_P_EXPERIMENT) + b"x" * 46)

    def answer(self, port: int, flags: int) -> tuple[int, int]:
        """Sequence and acknowledged number of the next packet to this port with these flags."""
        while True:
            packet = self._wire.recv(65536)[14:]
            tcp = packet[(packet[0] & 15) * 4 :]
            _, to, sequence, acked, _, found = struct.unpack_from("!HHIIBB", tcp)
            if to == port and found & flags == flags:
                return sequence, acked

    def open(self, port: int = 30000, to: int = PORT, stamp: int = 0) -> Talk:
        """Finish a handshake; with a `stamp`, timestamps are used from there on."""
        self.send(SYN, port, to, 1000, options=stamps(stamp))
        sequence, acked = self.answer(port, SYN | ACK)
        talk = Talk(port, acked, sequence + 1, stamp)
        self.say(talk, b"", to=to)
        return talk

    def say(
        self, talk: Talk, data: bytes, ahead: int = 0, earlier: int = 0, to: int = PORT
    ) -> None:
        """A segment `ahead` of what is next, with a stamp so much `earlier`."""
        options = stamps(talk.stamp - earlier) if talk.stamp else b""
        sequence = talk.sequence + ahead
        self.send(ACK, talk.port, to, sequence, talk.acked, data, options)


def stamps(value: int) -> bytes:
    """TCP's option of timestamps, and what fills the word up; 0: none."""
    return struct.pack("!BBBBII", 1, 1, 8, 10, value, 0) if value else b""
