"""Passes over the kernel's tables: of tasks and files once, of sockets in every namespace."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np

from tracer.kernel import iterators, sockstat
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Records

INSIDE = (
    "a PID namespace of its own: processes outside it have no PID here, and what they hold has no"
    " owner until they are seen to act"
)


def read_all(bpf: BpfObject, program: str, dtype: np.dtype[np.void]) -> Records:
    """Rows of one pass of an iterator."""
    return iterators.read_rows(bpf.open_iterator(program), dtype)


def _open_if_any(bpf: BpfObject, program: str) -> int | None:
    """The iterator, in the namespace that this thread is in; None where there is no socket.

    It walks the whole machine's table, whosever they are: some 14 ms for each namespace.
    """
    return bpf.open_iterator(program) if sockstat.may_have_any() else None


def find_pid_namespace(bpf: BpfObject) -> None:
    """Have the task iterator note this process's PID namespace: one row is enough for that.

    Before anything is attached: an event may be the first to tell of a process, and its PID.
    """
    fd = bpf.open_iterator("tt_iter_task")
    try:
        os.read(fd, 1)
    finally:
        os.close(fd)


def read_sockets(
    bpf: BpfObject,
    program: str,
    dtype: np.dtype[np.void],
    wanted: set[int] | None,
    tell: Callable[[str], None],
) -> Records:
    """Rows of these network namespaces; None: of all that a process is in or that have a name.

    `tell` is told what could not be looked at.
    """
    parts = [np.empty(0, dtype)]
    own = os.stat("/proc/self/ns/net").st_ino
    if wanted is not None and wanted <= {own}:
        places = {own: ""} if wanted else {}
    else:
        places = iterators.network_namespaces()
    for inode, path in places.items():
        if wanted is not None and inode not in wanted:
            continue
        try:
            fd: int | None
            if inode == own:
                fd = bpf.open_iterator(program)
            else:
                fd = iterators.in_namespace(path, partial(_open_if_any, bpf, program))
        except FileNotFoundError:
            continue  # its last process ended
        except PermissionError:
            tell("other network namespaces cannot be entered: CAP_SYS_ADMIN")
            continue
        if fd is not None:
            parts.append(iterators.read_rows(fd, dtype))
    found = [part for part in parts if len(part)]
    return found[0] if len(found) == 1 else np.concatenate(parts)  # a copy of many is seen
