"""How many descriptors a process has open, and how many it may have."""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = "Max open files"


def in_use(pid: int, proc: Path = Path("/proc")) -> tuple[int, int] | None:
    """Those in use, and the soft limit; None where that cannot be read, or there is no limit."""
    try:
        used = len(os.listdir(proc / str(pid) / "fd"))
        limits = (proc / str(pid) / "limits").read_text()
    except OSError:
        return None
    line = next((line for line in limits.splitlines() if line.startswith(LIMIT)), "")
    soft = line.removeprefix(LIMIT).split()[:1]
    return (used, int(soft[0])) if soft and soft[0].isdigit() else None
