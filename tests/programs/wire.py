"""A host made of packets: answers the first SYN to a port with the packets it is told to.

    wire.py DEVICE PORT ANSWER…        with ANSWER one of syn, rst

It says `ready` once it listens and ends when it has answered. Imports nothing of the tree.
"""

from __future__ import annotations

import socket
import struct
import sys

FLAGS = {"syn": 0x02, "rst": 0x04}
SYN, ACK = 0x02, 0x10
FIRST = 1000  # our first sequence number
ETHERTYPE_IP = 0x0800


def checksum(data: bytes) -> int:
    words: tuple[int, ...] = struct.unpack(f"!{len(data) // 2}H", data)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def answer(packet: bytes, flags: int, sequence: int) -> bytes:
    """A packet back to who sent this one: Ethernet, IP and TCP without options."""
    source, target = packet[26:30], packet[30:34]
    ports = packet[36:38] + packet[34:36]
    tcp = ports + struct.pack("!IIBBHHH", sequence, 0, 5 << 4, flags, 65535, 0, 0)
    pseudo = target + source + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0)
    ip += target + source
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return packet[6:12] + packet[0:6] + struct.pack("!H", ETHERTYPE_IP) + ip + tcp


def main(device: str, port: int, answers: list[str]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE_IP)) as wire:
        wire.bind((device, ETHERTYPE_IP))
        print("ready", flush=True)
        while True:
            packet = wire.recv(2000)
            called = packet[23] == socket.IPPROTO_TCP and packet[36:38] == struct.pack("!H", port)
            if called and packet[47] & (SYN | ACK) == SYN:
                break
        sequence = FIRST
        for name in answers:
            wire.send(answer(packet, FLAGS[name], sequence))
            sequence += name == "syn"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
