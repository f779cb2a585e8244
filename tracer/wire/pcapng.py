"""Packets' headers as a pcapng file (draft-ietf-opsawg-pcapng), each with a comment.

An interface block for each device of each namespace, made as it is first met; link type RAW: a
packet begins with its IP header. Times are in ns since 1970.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tracer.wire.recording import create

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC = 0x1A2B3C4D
_RAW_IP = 101  # LINKTYPE_RAW
_COMMENT, _APPLICATION, _NAME, _RESOLUTION, _FLAGS = 1, 4, 2, 9, 2
_NS = b"\x09"
_INBOUND, _OUTBOUND = 1, 2
_LONGEST = 0xFFFF  # an option's value


class Capture:
    """Write to a new file of mode 0600. Errors: OSError, TracerError where it is there already."""

    def __init__(self, path: Path, force: bool = False) -> None:
        self.name = str(path)
        self.packets = 0
        self._interfaces: dict[str, int] = {}
        self._file = os.fdopen(create(path, force), "wb", buffering=1 << 16)
        options = _option(_APPLICATION, b"tcptrace")
        self._put(_SECTION, struct.pack("<IHHq", _MAGIC, 1, 0, -1) + _end(options))

    def add(
        self, wall_ns: int, device: str, data: bytes, length: int, incoming: bool, comment: str
    ) -> None:
        """One packet: what there is of it, and how long it was."""
        interface = self._interfaces.get(device)
        if interface is None:
            interface = self._interfaces[device] = len(self._interfaces)
            options = _option(_NAME, device.encode()) + _option(_RESOLUTION, _NS)
            self._put(_INTERFACE, struct.pack("<HHI", _RAW_IP, 0, 0) + _end(options))
        head = (interface, wall_ns >> 32, wall_ns & 0xFFFFFFFF, len(data), max(length, len(data)))
        flags = struct.pack("<I", _INBOUND if incoming else _OUTBOUND)
        options = _option(_COMMENT, comment.encode()) + _option(_FLAGS, flags)
        self._put(_PACKET, struct.pack("<IIIII", *head) + _padded(data) + _end(options))
        self.packets += 1

    def _put(self, kind: int, body: bytes) -> None:
        length = struct.pack("<I", len(body) + 12)
        self._file.write(struct.pack("<I", kind) + length + body + length)

    def flush(self) -> None:
        """Hand everything to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self._file.close()


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    value = value[:_LONGEST]
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _end(options: bytes) -> bytes:
    return options + struct.pack("<HH", 0, 0)
