"""Rows of the iterator programs: one read of a seq file gives every process, file or socket."""

from __future__ import annotations

import ctypes as C
import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from tracer.kernel.spent import add_helper
from tracer.wire.layout import Records

# the kernel hands out eight pages at most; of room that is not used nothing is taken
_READ, _ROOM = 1 << 15, 1 << 24
Made = TypeVar("Made")
_CLONE_NEWNET = 0x40000000


def read_rows(fd: int, dtype: np.dtype[np.void]) -> Records:
    """Read an iterator to its end and close it: one record a row."""
    room = np.empty(_ROOM, np.uint8)
    end = 0
    try:
        while True:
            if len(room) - end < _READ:
                room = np.concatenate([room, np.empty_like(room)])
            try:
                count = os.readv(fd, [room[end:].data])
            except InterruptedError:
                continue
            except BlockingIOError:
                continue  # EAGAIN: the program asked to be run again
            if not count:
                break
            end += count
    finally:
        os.close(fd)
    found = room[:end]
    return (found if end > _ROOM // 2 else found.copy()).view(dtype)


def in_namespace(path: str, work: Callable[[], Made]) -> Made:
    """Run `work` on a thread that has joined the network namespace at `path`.

    iter/tcp belongs to the namespace of the thread that makes it. Errors: OSError,
    FileNotFoundError where there is none any more.
    """
    outcome = in_namespaces({0: path}, work)[0]
    if isinstance(outcome, OSError):
        raise outcome
    return outcome


def in_namespaces(paths: dict[int, str], work: Callable[[], Made]) -> dict[int, Made | OSError]:
    """The same in each of them, on as many threads as there are CPUs; what came of it, by key.

    To walk the kernel's table takes the longest, and Python has nothing to do meanwhile.
    """
    left, outcome = iter(paths.items()), dict[int, Made | OSError]()
    failed: list[BaseException] = []
    took: list[float] = []

    def body() -> None:
        for key, path in left:
            try:
                _join(path)
                outcome[key] = work()
            except OSError as error:
                outcome[key] = error
            except BaseException as error:
                failed.append(error)
        took.append(time.thread_time())

    most = min(len(paths), os.cpu_count() or 1)
    threads = [threading.Thread(target=body) for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    add_helper(sum(took))
    if failed:
        raise failed[0]
    return outcome


def _join(path: str) -> None:
    with open(path, "rb") as namespace:
        if C.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
            # a name that was just taken away, or is just being made, is a plain file
            gone = C.get_errno() == errno.EINVAL
            number = errno.ENOENT if gone else C.get_errno()
            raise OSError(number, os.strerror(number))


# where tools keep namespaces that no process need be in
_NAMED = (Path("/run/netns"), Path("/run/docker/netns"))


def network_namespaces() -> dict[int, str]:
    """Path of every network namespace that a process is in or that has a name, by inode."""
    found: dict[int, str] = {}
    own = os.stat("/proc/self/ns/net")
    found[own.st_ino] = "/proc/self/ns/net"
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            link = f"/proc/{entry.name}/ns/net"
            try:
                found.setdefault(os.stat(link).st_ino, link)
            except OSError:
                continue
    for path in (path for place in _NAMED if place.is_dir() for path in place.iterdir()):
        try:
            named = os.stat(path)
        except OSError:
            continue
        if named.st_dev == own.st_dev:  # a name whose namespace is gone is a plain file
            found.setdefault(named.st_ino, str(path))
    return found
