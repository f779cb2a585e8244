"""Control groups that --cgroup asks for, and all below them: the programs are told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from tracer.errors import TracerError
from tracer.kernel import maps
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout

# id -> (path, asked for itself, by --cgroup and by --exclude; or above it, likewise)
Group = tuple[str, bool, bool, bool, bool]
NAME_BYTES = 248  # of struct tt_cgroup_step
FindGroups = Callable[[], dict[int, Group]]


def mark_groups(bpf: BpfObject, layout: Layout, find: FindGroups) -> None:
    """Mark them. Walks until a walk finds no more: what is made in between is marked by then.

    It is made below one that is marked already, or found by the next walk. Each place is known by
    the id of who was found there first.
    """
    marking = _Marking(bpf, layout)
    known: set[int] = set()
    while True:
        found = find()
        if found.keys() <= known:
            return
        asked = [path for path, itself, itself_not, *_ in found.values() if itself or itself_not]
        marking.lead_to(asked)
        for number, group in sorted(found.items(), key=lambda item: item[1][0]):
            marking.mark(number, group)
        known |= found.keys()


class _Marking:
    def __init__(self, bpf: BpfObject, layout: Layout) -> None:
        self._groups = bpf.map_fd("tt_cgroups")
        self._places, self._steps = bpf.map_fd("tt_cgroup_places"), bpf.map_fd("tt_cgroup_steps")
        self._wanted, self._unwanted = (
            layout.enums["mark"][name] for name in ("CGROUP", "NOT_CGROUP")
        )
        self._by_path: dict[str, int] = {}
        self._leading: set[str] = set()

    def lead_to(self, paths: Iterable[str]) -> None:
        """Know the places of these, and of all that they lie in."""
        for path in paths:
            while path:
                self._leading.add(path)
                path = path.rpartition("/")[0]
        self._leading.add("/")

    def mark(self, number: int, group: Group) -> None:
        """Mark one, after those that it lies in."""
        path, itself, itself_not, below, below_not = group
        key = np.array([number], np.uint64)
        if below or below_not:
            marks = self._wanted * below | self._unwanted * below_not
            _mark(self._groups, key, np.array([marks], np.uint8))
        if path not in self._leading:
            return
        place = self._by_path.setdefault(path, number)
        _mark(self._places, key, np.array([place], np.uint64))
        above, _, name = path.rpartition("/")
        text = name.encode("utf-8", "surrogateescape")
        if not text or len(text) >= NAME_BYTES:
            return
        step = np.zeros(8 + NAME_BYTES, np.uint8)
        step[:8].view(np.uint64)[0] = self._by_path[above or "/"]
        step[8 : 8 + len(text)] = np.frombuffer(text, np.uint8)
        own = self._wanted * itself | self._unwanted * itself_not
        _mark(self._steps, step, np.array([place, own], np.uint64))


def _mark(fd: int, key: NDArray[np.generic], value: NDArray[np.generic]) -> None:
    try:
        maps.put(fd, key, value)
    except OSError as error:
        if error.errno not in maps.FULL:
            raise
        raise TracerError(
            "--cgroup asks for more control groups than there is room for",
            "ask for one that has fewer below it",
        ) from error
