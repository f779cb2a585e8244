"""Control groups: path by id, and the container a path belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CONTAINER = re.compile(
    r"(?:docker|cri-containerd|crio|libpod|containerd|nerdctl)-(?P<a>[0-9a-f]{64})\.scope"
    r"|/(?:docker|kubepods[^/]*(?:/[^/]+)*|libpod_parent|lxc|machine\.slice)/(?P<b>[0-9a-f]{64})\b"
)


def find_mount(proc: Path = Path("/proc")) -> Path | None:
    """Where the cgroup v2 hierarchy is mounted; None where it is not."""
    with (proc / "self/mountinfo").open() as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("cgroup2 "):
                return Path(left.split()[4])
    return None


def walk(mount: Path) -> dict[int, str]:
    """Path of every control group, as /proc/PID/cgroup writes it, by id (its inode)."""
    found = {}
    for directory, below, _ in os.walk(mount):
        try:
            inode = os.stat(directory).st_ino
        except FileNotFoundError:
            below.clear()
            continue
        path = os.path.relpath(directory, mount)
        found[inode] = "/" if path == "." else f"/{path}"
    return found


def container_of(path: str | None) -> str | None:
    """Short id of the container that a cgroup path names; None for all else."""
    match = _CONTAINER.search(path or "")
    if not match:
        return None
    return (match["a"] or match["b"])[:12]
