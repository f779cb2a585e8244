"""Rows of the iterator programs: one read of a seq file gives every process, file or socket."""

from __future__ import annotations

import ctypes as C
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from tracer.wire.layout import Records

_CHUNK = 1 << 18
Made = TypeVar("Made")
_CLONE_NEWNET = 0x40000000


def read_rows(fd: int, dtype: np.dtype[np.void]) -> Records:
    """Read an iterator to its end and close it: one record a row."""
    parts = []
    try:
        while True:
            try:
                part = os.read(fd, _CHUNK)
            except InterruptedError:
                continue
            except BlockingIOError:
                continue  # EAGAIN: the program asked to be run again
            if not part:
                break
            parts.append(part)
    finally:
        os.close(fd)
    return np.frombuffer(b"".join(parts), dtype)


def in_namespace(path: str, work: Callable[[], Made]) -> Made:
    """Run `work` on a thread that has joined the network namespace at `path`.

    iter/tcp belongs to the namespace of the thread that makes it. Errors: OSError,
    FileNotFoundError where there is none any more.
    """
    outcome: list[Made | OSError] = []

    def body() -> None:
        try:
            with open(path, "rb") as namespace:
                if C.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                    # a name that was just taken away, or is just being made, is a plain file
                    gone = C.get_errno() == errno.EINVAL
                    number = errno.ENOENT if gone else C.get_errno()
                    raise OSError(number, os.strerror(number))
            outcome.append(work())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


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
