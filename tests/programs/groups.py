"""Control groups of a test's own, in the unified hierarchy."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import wait_until
from tracer.attribution.cgroups import find_mount


@contextmanager
def control_group() -> Iterator[Path]:
    """Make one and take it away with all below it, once nothing runs there any more.

    Where the hierarchy is not mounted, as on a machine without systemd, it is for so long.
    """
    mount, mounted = find_mount(), None
    if mount is None:
        mount = mounted = Path(tempfile.mkdtemp())
        subprocess.run(["mount", "-t", "cgroup2", "none", str(mount)], check=True)
    made = mount / f"tt{os.getpid()}-{time.monotonic_ns() % 10**9}"
    made.mkdir()
    try:
        yield made
    finally:
        for directory, _, _ in os.walk(made, topdown=False):
            remove(Path(directory))
        if mounted is not None:
            subprocess.run(["umount", str(mounted)], check=True)
            mounted.rmdir()


def remove(group: Path) -> None:
    """Take one away as soon as its last process has gone."""
    wait_until(lambda: not (group / "cgroup.procs").read_text(), f"{group} to be empty")
    group.rmdir()


def enter(group: Path, pid: int) -> None:
    (group / "cgroup.procs").write_text(str(pid))
