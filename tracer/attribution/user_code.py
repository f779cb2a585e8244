"""Where in a process's programs and libraries an address lies: `function+0x1f (/path)`.

The process may be anybody's, in a mount namespace of its own, and may end at any time: files are
opened where it sees them, and only if they are what it has mapped. Where the function is not known,
the file and the offset in it are kept; where no file is, the address.
"""

from __future__ import annotations

import os
import stat
import threading
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from tracer.attribution.call_frames import CallFrames, Seen, Step, walk
from tracer.attribution.elf_functions import Functions
from tracer.wire.stacks import CUT

PATIENCE_S = 2.0  # a file may be on a file system that never answers
MOST_WEIGHT = 256 << 20  # bytes of symbols kept
MOST_TEXTS = 65536


class Mapping(NamedTuple):
    """A part of a process's memory that holds code; `path` as the kernel tells it."""

    begin: int
    end: int
    offset: int
    device: bytes
    inode: int
    path: bytes


Identity = tuple[int, ...]
Read = TypeVar("Read")


class UserCode:
    """Looks addresses up; each file is read once, each place in it looked up once.

    `walks`: who called is asked for, too.
    """

    def __init__(self, proc: Path = Path("/proc"), walks: bool = False) -> None:
        self._proc = proc
        self._walks = walks
        self._ways: dict[Identity, CallFrames | None] = {}  # beside `_files`
        self._files: dict[Identity, Functions | None] = {}  # the last used comes last
        self._silent: set[tuple[bytes, int, bytes]] = set()
        self._texts: dict[tuple[Identity, int, int], str] = {}

    def stacks(
        self, pid: int, start: int, stacks: dict[int, list[int]], visible: bool = True
    ) -> dict[int, list[str]]:
        """Frames of stacks of a process, by their numbers; `start` in clock ticks.

        One that is not `visible` in /proc has addresses alone.
        """
        maps = self._maps(pid, start) if visible else []
        opened: dict[Mapping, Identity] = {}
        return {
            number: [
                # what is called returns behind the call: perhaps to the next function
                self._frame(pid, maps, opened, address, 1 if i else 0)
                for i, address in enumerate(stack)
            ]
            for number, stack in stacks.items()
        }

    def callers(
        self, pid: int, start: int, seen: dict[int, Seen], visible: bool = True
    ) -> dict[int, list[str]]:
        """Frames from where a process called the kernel back to its begin, by the same numbers.

        The last one is `...` where the way goes on and nobody can say where.
        """
        maps = self._maps(pid, start) if visible else []
        opened: dict[Mapping, Identity] = {}
        frame = cache(partial(self._frame, pid, maps, opened))
        step = cache(partial(self._step, pid, maps, opened))
        found = {}
        for number, one in seen.items():
            addresses, is_whole = walk(one, step)
            frames = [frame(at, 1 if i else 0) if at else CUT for i, at in enumerate(addresses)]
            found[number] = frames if is_whole or frames[-1:] == [CUT] else [*frames, CUT]
        return found

    def _step(
        self,
        pid: int,
        maps: list[Mapping],
        opened: dict[Mapping, Identity],
        address: int,
        ahead: int,
    ) -> Step | None:
        mapping = _mapping(maps, address - ahead)
        if mapping is None or not mapping.path.startswith(b"/"):
            return None
        if mapping not in opened:
            opened[mapping] = self._identify(pid, mapping)
        ways = self._ways.get(opened[mapping])
        if ways is None:
            return None
        with suppress(Exception):  # the file is anybody's
            return ways.find(address - ahead - mapping.begin + mapping.offset)
        return None

    def _maps(self, pid: int, start: int) -> list[Mapping]:
        """What it has mapped; nothing if it has ended."""
        try:
            text = (self._proc / str(pid) / "maps").read_bytes()
            if _start(self._proc / str(pid)) != start:
                return []
        except (OSError, ValueError):
            return []
        return parse(text)

    def _frame(
        self,
        pid: int,
        maps: list[Mapping],
        opened: dict[Mapping, Identity],
        address: int,
        ahead: int,
    ) -> str:
        at = address - ahead
        mapping = _mapping(maps, at)
        if mapping is None or not mapping.path:
            return f"{address:#x}"
        path = mapping.path.decode("utf-8", "replace")
        if not path.startswith("/"):
            return f"{path}+{address - mapping.begin:#x}"
        offset = at - mapping.begin + mapping.offset
        if mapping not in opened:
            opened[mapping] = self._identify(pid, mapping)
        identity = opened[mapping]
        key = identity, offset, ahead
        found = self._texts.get(key)
        if found is None:
            functions = self._files.get(identity)
            function = functions.find(offset) if functions else None
            found = f"{function[0]}+{function[1] + ahead:#x}" if function else ""
            if len(self._texts) >= MOST_TEXTS:
                self._texts.clear()
            self._texts[key] = found
        return f"{found} ({path})" if found else f"{path}+{offset + ahead:#x}"

    def _identify(self, pid: int, mapping: Mapping) -> Identity:
        """The file that is mapped, read if it was not before; () if there is none to be read."""
        path = os.fsencode(self._proc / str(pid) / "root") + mapping.path.replace(b"\\012", b"\n")
        file = mapping.device, mapping.inode, mapping.path  # wherever a process has it mapped
        if file in self._silent:
            return ()
        found: list[tuple[Identity, Functions | None]] = []
        _within(PATIENCE_S, lambda: found.append(self._read(path, mapping.inode)))
        if not found:
            self._silent.add(file)
            return ()
        identity, functions = found[0]
        if not identity:
            return ()
        self._files.pop(identity, None)
        self._files[identity] = functions
        kept = list(self._files)
        while self._weight() > MOST_WEIGHT and len(kept) > 1:
            self._ways.pop(kept[0], None)
            self._files.pop(kept.pop(0))
        return identity

    def _weight(self) -> int:
        both = (*self._files.values(), *self._ways.values())
        return sum(one.weight for one in both if one)

    def _read(self, path: bytes, inode: int) -> tuple[Identity, Functions | None]:
        try:
            # looked at first: to open a device or a pipe may do something
            place = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return (), None
        try:
            status = os.fstat(place)
            # the device tells nothing: in containers it is another one
            if not stat.S_ISREG(status.st_mode) or status.st_ino != inode:
                return (), None
            identity = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
            if identity in self._files:
                return identity, self._files[identity]
            if self._walks:
                self._ways[identity] = _made_of(place, CallFrames)
            return identity, _functions(place)
        finally:
            os.close(place)


def _functions(place: int) -> Functions | None:
    """Those of a file; None where it is not ELF, is damaged, or was made to do harm."""
    return _made_of(place, Functions)


def _made_of(place: int, kind: Callable[[int], Read]) -> Read | None:
    with suppress(Exception):
        fd = os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return kind(fd)
        finally:
            os.close(fd)
    return None


def _within(seconds: float, work: Callable[[], None]) -> None:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)


def _start(directory: Path) -> int:
    """When a process began, as records tell it."""
    # pid (comm) state ppid …: comm may hold spaces and brackets
    fields = (directory / "stat").read_bytes().rpartition(b")")[2].split()
    return int(fields[19]) & 0xFFFFFFFF


def _mapping(maps: list[Mapping], address: int) -> Mapping | None:
    i = bisect_right(maps, address, key=lambda mapping: mapping.begin) - 1
    return maps[i] if i >= 0 and address < maps[i].end else None


def parse(text: bytes) -> list[Mapping]:
    """The lines of /proc/PID/maps that are of code, in order of address."""
    found = []
    for line in text.splitlines():
        span, flags, offset, device, inode, *rest = line.split(None, 5)
        if b"x" not in flags:
            continue
        begin, _, end = span.partition(b"-")
        path = rest[0] if rest else b""
        found.append(
            Mapping(int(begin, 16), int(end, 16), int(offset, 16), device, int(inode), path)
        )
    return found
