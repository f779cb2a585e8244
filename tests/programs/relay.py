"""A path between two namespaces that delays and loses packets as it is told to.

    relay.py HERE THERE DEVICE PLAN

makes a TUN device of that name in each of the two named namespaces, says `ready`, and passes on
whatever comes out of one at the other. The plan is a JSON list: its first entry is for the
connection whose SYN comes first, and so on; those beyond the list pass at once. An entry may have
`lose_syn` and `lose_synack`, how many of them are lost, and `hold_synack_ms` and `hold_ack_ms`, for
how long the first SYN-ACK, and the first packet that is an ACK and nothing else, are held back; and
`delay_ms`, for how long any other packet of it is, each way.

The end of stdin ends it: then it says by the caller's port, in JSON, what it did. Imports nothing
of the tree.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
SYN, SYNACK, ACK = 0x02, 0x12, 0x10
FLAGS = 0x17  # FIN, SYN, RST, ACK
LONGEST = 65536


def open_device(space: str, name: str) -> int:
    """A TUN device in this namespace, which it stays in while it is open."""
    with open(f"/run/netns/{space}") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return device


class Relay:
    """Two devices, what is on its way between them, and what is to become of each connection."""

    def __init__(self, here: int, there: int, plan: list[dict[str, float]]) -> None:
        self._other = {here: there, there: here}
        self._plan = plan
        self._rest: dict[int, dict[str, float]] = {}  # by the caller's port: what is still to do
        self.did: dict[int, dict[str, float]] = {}
        self._held: list[tuple[int, int, int, bytes]] = []  # when, in which order, where to, what
        self._number = 0

    def run(self, until: int) -> None:
        """Pass packets on until there is something to read there."""
        while True:
            wait = None
            if self._held:
                wait = max(0.0, (self._held[0][0] - time.monotonic_ns()) / 1e9)
            ready, _, _ = select.select([*self._other, until], [], [], wait)
            self._let_go()
            for device in ready:
                if device == until:
                    return
                for packet in self._packets(device):
                    self._pass_on(packet, self._other[device])

    @staticmethod
    def _packets(device: int) -> Iterator[bytes]:
        try:
            while True:
                yield os.read(device, LONGEST)
        except BlockingIOError:
            pass

    def _let_go(self) -> None:
        while self._held and self._held[0][0] <= time.monotonic_ns():
            _, _, device, packet = heapq.heappop(self._held)
            os.write(device, packet)

    def _pass_on(self, packet: bytes, device: int) -> None:
        held_ms = 0.0
        if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
            tcp = packet[(packet[0] & 15) * 4 :]
            source, target = struct.unpack_from("!HH", tcp)
            if tcp[13] & FLAGS == SYN:
                lost, held_ms = self._treat(source, "syn")
            elif tcp[13] & FLAGS == SYNACK:
                lost, held_ms = self._treat(target, "synack")
            elif tcp[13] & FLAGS == ACK and source in self._rest:
                lost, held_ms = self._treat(source, "ack")
            else:
                lost = False
            if lost:
                return
            rest = self._rest.get(source) or self._rest.get(target) or {}
            held_ms = held_ms or rest.get("delay_ms", 0.0)
        if not held_ms:
            os.write(device, packet)
            return
        self._number += 1
        due = time.monotonic_ns() + round(held_ms * 1e6)
        heapq.heappush(self._held, (due, self._number, device, packet))

    def _treat(self, port: int, what: str) -> tuple[bool, float]:
        """Whether this packet is lost, and else for how long it is held back."""
        if port not in self._rest:
            number = len(self._rest)
            self._rest[port] = dict(self._plan[number]) if number < len(self._plan) else {}
            self.did[port] = {}
        rest, did = self._rest[port], self.did[port]
        lose, hold = f"lose_{what}", f"hold_{what}_ms"
        if rest.get(lose, 0) > 0:
            rest[lose] -= 1
            did[lose] = did.get(lose, 0) + 1
            return True, 0
        held_ms = rest.pop(hold, 0)
        if held_ms:
            did[hold] = held_ms
        return False, held_ms


def main(here: str, there: str, name: str, plan: Any) -> None:
    relay = Relay(open_device(here, name), open_device(there, name), plan)
    print("ready", flush=True)
    relay.run(sys.stdin.fileno())
    print(json.dumps(relay.did), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
