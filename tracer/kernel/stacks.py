"""Stacks of calls that the programs of bpf/stacks.h took, frame by frame, each once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tracer.kernel import maps, symbols
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout, Records
from tracer.wire.stacks import CUT, Frames, Owned, trim

KERNEL, USER = "tt_kernel_stacks", "tt_user_stacks"
DEEPEST = Path("/proc/sys/kernel/perf_event_max_stack")
FRAMES = 127  # bpf/stacks.h
COST = "--stack: 2 to 3 us more on every packet of TCP that is thrown away and asked for"
MOST = 65536  # user stacks told of: one is of a process


def prepare(bpf: BpfObject, stacks: bool, made: bool) -> None:
    """Before `load`: make the maps, no deeper than this kernel takes; or none.

    `stacks`: of dropped packets, `made`: of who makes sockets.
    """
    for name, wanted in ((KERNEL, stacks), (USER, stacks or made)):
        if wanted:
            bpf.resize_value(name, 8 * _depth())
        else:
            bpf.leave_out(name)


def _depth() -> int:
    try:
        return min(FRAMES, int(DEEPEST.read_text()))
    except (OSError, ValueError):
        return FRAMES


class StackMap:
    """A map that the kernel keeps stacks in: addresses by number, innermost first."""

    def __init__(self, bpf: BpfObject, name: str) -> None:
        self._fd = bpf.map_fd(name)
        self.depth = _depth()
        self._frames = np.dtype([("at", "u8", (self.depth,))])

    def read(self, number: int) -> list[int]:
        """One of them; of a number that stands for none, nothing."""
        found = maps.get(self._fd, np.array([number - 1], np.uint32), self._frames)
        addresses: list[int] = [] if found is None else found["at"][0].tolist()
        return addresses[: addresses.index(0)] if 0 in addresses else addresses


class Stacks:
    """What is new of the stacks that records and counts name. The kernel's come with their names,
    each looked up once; those of processes are addresses.
    """

    def __init__(self, bpf: BpfObject, layout: Layout, tell: Callable[[str], None]) -> None:
        self._kernel, self._user = StackMap(bpf, KERNEL), StackMap(bpf, USER)
        self._none = {layout.enums["stack_is"][name] for name in ("NONE", "LOST")}
        self._tell = tell
        self._names: dict[int, str] = {}
        self._told: set[int] = set()
        self._told_user: set[Owned] = set()

    def of_kernel(self, numbers: Iterable[int]) -> dict[int, Frames]:
        """The kernel's own, by number."""
        new = set(numbers) - self._told - self._none
        self._told |= new
        stacks = {number: self._kernel.read(number) for number in sorted(new)}
        unknown = {address for stack in stacks.values() for address in stack} - set(self._names)
        if unknown:
            self._names |= {address: f"{address:#x}" for address in unknown} | _named(unknown)
        return {
            number: trim(self.ended([self._names[address] for address in stack]))
            for number, stack in stacks.items()
        }

    def of_owners(self, drops: Records) -> dict[Owned, list[int]]:
        """Those of the owners of dropped packets."""
        drops = drops[~np.isin(drops["user_stack"], list(self._none))]
        found = zip(*(drops[name].tolist() for name in Owned._fields), strict=True)
        new = {Owned(*key) for key in found} - self._told_user
        if len(self._told_user) + len(new) > MOST:
            self._tell(f"the stacks of processes are more than {MOST}: others are not told of")
            return {}
        self._told_user |= new
        return {key: self._user.read(key.user_stack) for key in sorted(new)}

    def ended(self, frames: Frames) -> Frames:
        """With a last frame that says so, if they go on."""
        return [*frames, CUT] if len(frames) == self._kernel.depth else frames


def _named(addresses: set[int]) -> dict[int, str]:
    try:
        return symbols.callers(addresses)
    except OSError:
        return {}
