"""Two receivers on the same long way: one has made its receive buffer small.

sudo python3 examples/small_buffers/run.py    prints its PIDs, then makes trouble for some 20 s

In a network namespace of its own it makes a way of 100 ms there and back: what is sent to
10.9.0.2 comes back 50 ms later as sent by it. A sender has 4 MB a second for each of two
receivers. One of them has set SO_RCVBUF to 64 KB, "to be sure": a window's worth comes in each
round trip, and no more. The other one leaves the size to the kernel.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import select
import socket
import struct
import subprocess
import time
from collections.abc import Callable

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000  # include/uapi/linux/if_tun.h
HERE, THERE, PORT = "10.9.0.1", "10.9.0.2", 8000
DELAY_S, LASTS_S = 0.05, 20.0
ROOM, PIECE, EVERY_S = 64 * 1024, 40_000, 0.01


def enter_namespace() -> int:
    """A namespace of our own, with a device that shows us each packet; returns it."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare: run it as root")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"way", IFF_TUN | IFF_NO_PI))
    for words in (f"addr add {HERE}/24 dev way", "link set way up", "link set lo up"):
        subprocess.run(["ip", *words.split()], check=True)
    return device


def be_the_way(device: int) -> None:
    """Send each packet back later, source and destination exchanged: sums stay as they are."""
    under_way: list[tuple[float, int, bytes]] = []
    number = 0
    while True:
        wait = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
        ready = select.select([device], [], [], wait)[0]
        while under_way and under_way[0][0] <= time.monotonic():
            os.write(device, heapq.heappop(under_way)[2])
        if not ready:
            continue
        packet = os.read(device, 65536)
        if packet[0] >> 4 == 4:
            number += 1
            turned = packet[:12] + packet[16:20] + packet[12:16] + packet[20:]
            heapq.heappush(under_way, (time.monotonic() + DELAY_S, number, turned))


def receive(port: int, room: int) -> None:
    """Read all that comes, and say how fast that was."""
    with socket.socket() as server:
        if room:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HERE, port))
        server.listen()
        connection = server.accept()[0]
    began, count = time.monotonic(), 0
    while piece := len(connection.recv(1 << 20)):
        count += piece
    what = f"SO_RCVBUF {room}" if room else "sized by the kernel"
    print(f"{what}: {count / (time.monotonic() - began) / 1e6:.2f} MB/s", flush=True)


def send(port: int) -> None:
    """Send a piece every 10 ms, or as often as there is room."""
    with socket.create_connection((THERE, port)) as connection:
        began = time.monotonic()
        due = began
        while due < began + LASTS_S:
            connection.sendall(b"x" * PIECE)
            due = max(due + EVERY_S, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def start(work: Callable[..., None], *arguments: int) -> int:
    """In a process of its own; returns its PID."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work(*arguments)
    finally:
        os._exit(0)


def main() -> None:
    """Start them, and wait until both are through."""
    device = enter_namespace()
    way = start(be_the_way, device)
    receivers = [start(receive, PORT, ROOM), start(receive, PORT + 1, 0)]
    time.sleep(0.2)  # until both listen
    senders = [start(send, PORT), start(send, PORT + 1)]
    small, other = receivers
    print(f"PID {small} receives with a small buffer, port {PORT}", flush=True)
    print(f"PID {other} leaves it to the kernel, port {PORT + 1}", flush=True)
    for pid in (*senders, *receivers):
        os.waitpid(pid, 0)
    os.kill(way, 15)
    os.waitpid(way, 0)


if __name__ == "__main__":
    main()
