"""Control groups: path by id, and the container a path belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tracer.errors import TracerError
from tracer.wire.filters import Filters

_CONTAINER = re.compile(
    r"(?:docker|cri-containerd|crio|libpod|containerd|nerdctl)-(?P<a>[0-9a-f]{64})\.scope"
    r"|/(?:docker|kubepods[^/]*(?:/[^/]+)*|libpod_parent|lxc|machine\.slice)/(?P<b>[0-9a-f]{64})\b"
)
_POD = re.compile(r"pod(?P<uid>[0-9a-f]{8}([-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})\b")
SHORTEST_ID = 4  # of a container, as its first digits


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


def container_of(path: str | None, short: bool = True) -> str | None:
    """Id of the container that a cgroup path names, by 12 digits or all; None for all else."""
    match = _CONTAINER.search(path or "")
    if not match:
        return None
    found: str = match["a"] or match["b"]
    return found[:12] if short else found


def is_called(path: str, asked: str) -> bool:
    """Whether a control group is what --cgroup names: a path, a unit, a container or a pod."""
    if "/" in asked:
        return path == (asked.rstrip("/") or "/")
    name = path.rpartition("/")[2]
    if name == asked:
        return True
    container = container_of(path, short=False)
    if container and len(asked) >= SHORTEST_ID and container.startswith(asked):
        return name.find(container) >= 0
    pod = _POD.search(name)
    return bool(pod and pod["uid"].replace("_", "-") == asked.lower())


def is_below(path: str, asked: str) -> bool:
    """Whether it is so called, or any above it."""
    while not is_called(path, asked):
        if path == "/":
            return False
        path = path.rpartition("/")[0] or "/"
    return True


Group = tuple[str, bool, bool, bool, bool]


def find_asked(filters: Filters, mount: Path | None) -> dict[int, Group]:
    """Control groups that --cgroup or --exclude asks for, by id.

    Path; whether it is named itself by each of the two; whether it is below one named so.
    Errors: TracerError for what is not there.
    """
    if mount is None:
        raise TracerError(
            "--cgroup needs control groups in one hierarchy (cgroup2), which is not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup/unified, and have processes in it",
        )
    paths = walk(mount)
    wanted, unwanted = (part.cgroups for part in (filters, filters.excluded))
    for text in (*wanted, *unwanted):
        if not any(is_called(path, text) for path in paths.values()):
            raise TracerError(
                f"--cgroup {text}: no control group, unit, container or pod is called so",
                "give one of: systemd-cgls; or a path of /proc/PID/cgroup",
            )
    found: dict[int, Group] = {}
    for number, path in paths.items():
        below, below_not = (any(is_below(path, x) for x in part) for part in (wanted, unwanted))
        if below or below_not:
            itself, itself_not = (
                any(is_called(path, text) for text in part) for part in (wanted, unwanted)
            )
            found[number] = path, itself, itself_not, below, below_not
    return found


def inside(text: str, mount: Path | None) -> str:
    """A path in the hierarchy, also where it was given as one in the file system."""
    if text == str(mount):
        return "/"
    return text.removeprefix(str(mount)) if text.startswith(f"{mount}/") else text
