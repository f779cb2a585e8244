"""Control groups that --cgroup asks for, and all below them: the programs are told of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError
from tracer.kernel import maps
from tracer.kernel.core import CoreObject
from tracer.wire.layout import Layout

# id -> (path, asked for itself, by --cgroup and by --exclude; or above it, likewise)
Group = tuple[str, bool, bool, bool, bool]
FindGroups = Callable[[], dict[int, Group]]


def mark_groups(bpf: CoreObject, layout: Layout, find: FindGroups) -> None:
    """Mark them. Walks until a walk finds no more: what is made in between is marked by then.

    It is made below one that is marked already, or found by the next walk.
    """
    fd, paths = bpf.map_fd("tt_cgroups"), bpf.map_fd("tt_cgroup_paths")
    wanted, unwanted = layout.enums["mark"]["CGROUP"], layout.enums["mark"]["NOT_CGROUP"]
    known: set[int] = set()
    while True:
        found = find()
        if found.keys() <= known:
            return
        for number, (path, itself, itself_not, below, below_not) in found.items():
            marks = np.array([wanted * below | unwanted * below_not], np.uint8)
            _mark(fd, np.array([number], np.uint64), marks)
            text = path.encode("utf-8", "surrogateescape")
            if (itself or itself_not) and len(text) < 256:
                key = np.frombuffer(text.ljust(256, b"\0"), np.uint8).copy()
                own = np.array([wanted * itself | unwanted * itself_not], np.uint8)
                _mark(paths, key, own)
        known |= found.keys()


def _mark(fd: int, key: NDArray[np.generic], marks: NDArray[np.uint8]) -> None:
    try:
        maps.put(fd, key, marks)
    except OSError as error:
        if error.errno not in maps.FULL:
            raise
        raise TracerError(
            "--cgroup asks for more control groups than there is room for",
            "ask for one that has fewer below it",
        ) from error
