"""How many descriptors a process has open, and how many it may have."""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = "Max open files"
MOST = 256  # processes that are asked for at once


def in_use(pid: int, proc: Path = Path("/proc")) -> tuple[int, int] | None:
    """Those in use, and the soft limit; None where that cannot be read, or there is no limit."""
    try:
        used = _count(proc / str(pid) / "fd")
        limits = (proc / str(pid) / "limits").read_text()
    except OSError:
        return None
    line = next((line for line in limits.splitlines() if line.startswith(LIMIT)), "")
    soft = line.removeprefix(LIMIT).split()[:1]
    return (used, int(soft[0])) if soft and soft[0].isdigit() else None


def _count(folder: Path) -> int:
    """The kernel tells it as the folder's size since Linux commit f1f1f2569901 ("proc: report open
    files as size in stat() for /proc/pid/fd") (in v6.2); to list many takes long.
    """
    return folder.stat().st_size or len(os.listdir(folder))


def of_all(processes: set[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """PID, start, those in use and the limit, of those of these processes that can be read."""
    found = []
    for pid, start in sorted(processes)[:MOST]:
        numbers = in_use(pid)
        if numbers:
            found.append((pid, start, *numbers))
    return found
