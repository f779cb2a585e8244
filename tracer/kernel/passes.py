"""Passes over the kernel's tables: of tasks and files once, of sockets in every namespace."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import numpy as np

from tracer.kernel import iterators, sockstat
from tracer.kernel.loader import BpfObject
from tracer.wire.batch import joined
from tracer.wire.layout import Records

INSIDE = (
    "a PID namespace of its own: processes outside it have no PID here, and what they hold has no"
    " owner until they are seen to act"
)


def read_all(bpf: BpfObject, program: str, dtype: np.dtype[np.void]) -> Records:
    """Rows of one pass of an iterator."""
    return iterators.read_rows(bpf.open_iterator(program), dtype)


def _rows_if_any(bpf: BpfObject, program: str, dtype: np.dtype[np.void]) -> Records | None:
    """Those of the namespace that this thread is in; None where there is no socket.

    The iterator walks the whole machine's table, whosever the sockets are: some 3 ms for each
    namespace, and 14 ms beside 40,000 sockets.
    """
    return read_all(bpf, program, dtype) if sockstat.may_have_any() else None


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
    own = os.stat("/proc/self/ns/net").st_ino
    if wanted is not None and wanted <= {own}:
        others: dict[int, str] = {}
    else:
        found = iterators.network_namespaces().items()
        others = {
            inode: path
            for inode, path in found
            if inode != own and (wanted is None or inode in wanted)
        }
    parts = [read_all(bpf, program, dtype)] if wanted is None or own in wanted else []
    if others:
        find_rows = partial(_rows_if_any, bpf, program, dtype)
        for rows in iterators.in_namespaces(others, find_rows).values():
            if isinstance(rows, PermissionError):
                tell("other network namespaces cannot be entered: CAP_SYS_ADMIN")
            elif isinstance(rows, OSError) and not isinstance(rows, FileNotFoundError):
                raise rows
            elif isinstance(rows, np.ndarray):  # else its last process ended, or it has none
                parts.append(rows)
    return joined([part for part in parts if len(part)] or [np.empty(0, dtype)])
