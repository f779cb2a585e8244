"""The recording: a file of frames, each a four-letter tag, a length and that many bytes.

Everything a view reads is a frame, so a live session is the replay of the frames just made and a
recording shows what the session showed. Frames hold what came from the kernel as it came; sorting,
ownership and sums are made from them, live or later, by the same code.

    HEAD  JSON: version, layout, clock, host, filters; always first
    TASK HOLD SOCK OPEN  rows of the iterators
    CGRP  JSON: path of each control group by id
    SMAL LARG  one CPU's run of samples from one drain
    STAT  counters, summed over the CPUs
    CNTS  transitions by owner: count_key and count_value pairs, summed over the CPUs
    LSTN  listening sockets, and those closed since the last time
    DROP  what listeners threw away: drop_key and drop_value pairs, summed over the CPUs
    RSNS  JSON: names of the kernel's reasons to throw a packet away, and of its subsystems
    CODE  JSON: function and offset of addresses in the kernel's code
    STAK  JSON: stacks of calls of dropped packets by number, each once
    MADE  JSON: where sockets were made that are not closed at the end
    PKTS  packets thrown away: packet_key and packet_value pairs
    REST  those that found no room there, by reason: what the next PKTS lacks
    RSTS  RSTs that were told of: reset_key and reset_value pairs
    DEVS  JSON: counters of devices by namespace, and of CPUs, of what no packet tells of
    RULE  JSON: rules of packet filters that drop or reject, and their counters, by namespace
    KERN  JSON: the kernel's own counters at this moment, by namespace
    EDGE  JSON: how far those moved while that moment passed, if they did
    AWAY  JSON: what the kernel counted of handshakes so far and no record tells of, by namespace
    MISS  JSON: runs that the kernel skipped, by program
    TICK  the drain's start (CLOCK_MONOTONIC, ns) and the wall clock's offset then
    GATE  when nothing more was counted; what is told after it was in flight then
    MARK  an interval's end
    LAST  JSON: the end, and why
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError

MAGIC = b"tcptrace recording 1\n"
_HEADER = struct.Struct("<4sxxxxQ")
_LONGEST = 1 << 32
RESERVE = 64 << 20

Payload = bytes | NDArray[np.generic]


class Frame(NamedTuple):
    """One thing told, by whom `tag` says."""

    tag: str
    data: Payload


class Writer:
    """Write frames to a new file of mode 0600, given to the user who called sudo.

    Without a path, to standard output.
    """

    def __init__(self, path: Path | None, force: bool = False) -> None:
        self.name = "standard output" if path is None else str(path)
        self.size = 0
        self.fd = os.dup(1) if path is None else create(path, force)
        self._file = os.fdopen(self.fd, "wb", buffering=1 << 20)
        self._put(MAGIC)

    def _put(self, data: bytes) -> None:
        self._file.write(data)
        self.size += len(data)

    def write(self, frame: Frame) -> None:
        """Append one frame. Errors: OSError when the disk is full."""
        data = frame.data
        if isinstance(data, bytes):
            self._put(_HEADER.pack(frame.tag.encode(), len(data)) + data)
            return
        self._put(_HEADER.pack(frame.tag.encode(), data.nbytes))
        if data.nbytes:
            # its memory as it is: a run of samples is written without another copy
            self._file.write(np.ascontiguousarray(data).view(np.uint8).data)
            self.size += data.nbytes

    def is_short_of_room(self, waiting: int = 0) -> bool:
        """Whether the disk is nearly full: less than RESERVE is left, or half of a small one.

        What is there has to do for what is still to be written when a session ends: `waiting` bytes
        that have been taken out of the kernel, and what is in it.
        """
        if not stat.S_ISREG(os.fstat(self.fd).st_mode):
            return False
        disk = os.fstatvfs(self.fd)
        left = disk.f_bavail * disk.f_frsize
        return bool(left - waiting < min(RESERVE, disk.f_blocks * disk.f_frsize // 2))

    def flush(self) -> None:
        """Hand everything to the kernel."""
        self._file.flush()

    def close(self) -> None:
        """Flush and close; what is on the disk by then can be replayed."""
        self._file.close()


def create(path: Path, force: bool) -> int:
    """Descriptor of a new result file: mode 0600, never over an old one unless `force`.

    Errors: TracerError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    # a device or a pipe is there to be written to; only a file can be lost
    if path.exists() and not path.is_file():
        flags |= os.O_NOCTTY
    else:
        flags |= os.O_TRUNC if force else os.O_EXCL
    try:
        fd = os.open(path, flags, 0o600)
    except FileExistsError as error:
        raise TracerError(f"{path} exists", "give another name, or --force") from error
    except OSError as error:
        raise TracerError(f"cannot write {path}: {error.strerror}", "give another place") from error
    _give_to_invoker(fd)
    return fd


def _give_to_invoker(fd: int) -> None:
    """Make a result file its owner's alone; the owner is who called sudo."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    os.fchmod(fd, 0o600)  # one written over keeps the mode it had
    if os.geteuid() == 0 and uid.isdigit() and gid.isdigit():
        os.fchown(fd, int(uid), int(gid))


def read(file: BinaryIO, name: str) -> Iterator[Frame]:
    """Yield the frames of a recording; one cut short by a crash ends where it was cut.

    Errors: TracerError for a file that is no recording.
    """
    if file.read(len(MAGIC)) != MAGIC:
        raise TracerError(
            f"{name} is not a recording of tcptrace", "make one: tcptrace record FILE"
        )
    while True:
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        tag, length = _HEADER.unpack(header)
        if length > _LONGEST:
            raise TracerError(f"{name} is damaged", "nothing after the damage can be read")
        data = file.read(length)
        if len(data) < length:
            return
        yield Frame(tag.decode("ascii", "replace"), data)


def end_of(path: str) -> int | None:
    """When a recording in a file ended, CLOCK_MONOTONIC ns: its end, or its last drain.

    None of what is no recording. Errors: OSError.
    """
    found = None
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return None
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            tag, length = _HEADER.unpack(header)
            if tag not in (b"TICK", b"LAST"):
                file.seek(length, os.SEEK_CUR)
                continue
            data = file.read(length)
            if len(data) < length:
                break
            found = json.loads(data)["mono_ns"] if tag == b"LAST" else _first(data)
    return found


def _first(data: bytes) -> int:
    return int(np.frombuffer(data, np.int64)[0])
