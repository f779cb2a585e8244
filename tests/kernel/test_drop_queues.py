"""A dropped packet names the device's queue it came by: the one that it was put into."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from contextlib import ExitStack

import pytest

from tests.harness import Namespace, wait_until
from tests.kernel.test_drops import SHUT, drops, events, stop_after
from tests.programs.crafted import SYN, Host
from tests.programs.peer import checksum
from tests.programs.places import inside

pytestmark = pytest.mark.kernel
HERE, THERE, QUEUES = "10.98.0.1", "10.98.0.2", 3
TUNSETIFF, IFF_TUN, IFF_NO_PI, IFF_MULTI_QUEUE = 0x400454CA, 0x1, 0x1000, 0x100


def opened(stack: ExitStack) -> list[int]:
    """A device of the test's own: each descriptor is a queue of it, in this order."""
    found = []
    for _ in range(QUEUES):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        stack.callback(os.close, fd)
        flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"queues", flags))
        found.append(fd)
    return found


def syn(port: int) -> bytes:
    """To a port that nobody listens on."""
    ends = socket.inet_aton(THERE) + socket.inet_aton(HERE)
    tcp = struct.pack("!HHIIBBHHH", port, SHUT, 1, 0, 5 << 4, SYN, 65535, 0, 0)
    summed = checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", summed) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def test_a_dropped_packet_names_the_queue_that_it_was_put_into(ns: Namespace) -> None:
    counts = [3 + queue for queue in range(QUEUES)]
    with ExitStack() as stack:
        fds = inside(ns, lambda: opened(stack))
        ns.run("ip", "addr", "add", f"{HERE}/24", "dev", "queues")
        ns.run("ip", "link", "set", "queues", "up")
        with events(ns) as tracer:
            for queue, fd in enumerate(fds):
                for i in range(counts[queue]):
                    os.write(fd, syn(20000 + 100 * queue + i))
            found = stop_after(tracer, sum(counts), "NO_SOCKET")
    assert [sum(r["rxq"] == queue for r in found) for queue in range(QUEUES)] == counts
    assert all((r["rport"] - 20000) // 100 == r["rxq"] for r in found)


def test_where_no_queue_was_noted_it_is_unknown(ns: Namespace) -> None:
    with Host(ns) as host, events(ns) as tracer:
        host.send(SYN, 20000, SHUT)
        wait_until(lambda: drops(tracer.so_far()), "the drop")
        (found,) = drops(tracer.stop())
    assert (found["dev"], found["rxq"]) == ("near", None)
