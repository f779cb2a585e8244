"""Packets of a namespace's loopback as tcpdump has them: a witness with a clock of its own."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Namespace, wait_until

NANOSECONDS = 0xA1B23C4D  # the magic number of a capture that has them
FILE_HEADER, PACKET_HEADER, ETHERNET = 24, 16, 14


@dataclass(frozen=True)
class Packet:
    """A TCP packet over IPv4: when it was seen, its ports and its flags."""

    moment_ns: int
    source: int
    target: int
    flags: int


def read(data: bytes) -> list[Packet]:
    """The packets of a capture."""
    assert struct.unpack_from("<I", data)[0] == NANOSECONDS
    found, at = [], FILE_HEADER
    while at < len(data):
        seconds, nanoseconds, length, _ = struct.unpack_from("<4I", data, at)
        ip = at + PACKET_HEADER + ETHERNET
        tcp = ip + 4 * (data[ip] & 15)
        source, target = struct.unpack_from("!2H", data, tcp)
        moment = seconds * 10**9 + nanoseconds
        found.append(Packet(moment, source, target, data[tcp + 13]))
        at += PACKET_HEADER + length
    return found


@contextmanager
def capture(ns: Namespace, port: int) -> Iterator[list[Packet]]:
    """A list that holds, once the `with` block has ended, the packets of this port."""
    found: list[Packet] = []
    with tempfile.TemporaryDirectory() as directory:
        path, said = Path(directory) / "packets", Path(directory) / "said"
        # short packets: of long ones only few have room in the kernel's ring
        options = ["-Z", "root", "-i", "lo", "-s", "96", "-U", "-w", str(path)]
        options += ["--immediate-mode", "--time-stamp-precision=nano"]
        with said.open("w") as errors:
            process = subprocess.Popen(
                [*ns.enter, "tcpdump", *options, f"tcp port {port}"],
                stderr=errors,
            )
        wait_until(lambda: "listening on" in said.read_text(), "the capture to begin")
        try:
            yield found
        finally:
            process.terminate()
            process.wait(timeout=20)
        assert "0 packets dropped by kernel" in said.read_text()
        found += read(path.read_bytes())
