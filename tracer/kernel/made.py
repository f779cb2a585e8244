"""Where sockets were made, as bpf/made.h has kept it: registers and the top of a stack."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tracer.kernel import maps
from tracer.kernel.features import has_casts
from tracer.kernel.loader import BpfObject
from tracer.kernel.stacks import USER, StackMap
from tracer.wire.layout import Layout, Records

MAPS = ("tt_made", "tt_new_made")
# where all of it is taken from the start: some 16 MB
MOST_AT_ONCE = 1 << 15
COST = "--stack: about 1 us more on every connect() and accept()"


def prepare(bpf: BpfObject, wanted: bool, sockets: int) -> None:
    """Before `load`: room for as many sockets; none where it is not `wanted`."""
    if not wanted:
        for name in MAPS:
            bpf.leave_out(name)
        return
    bpf.resize("tt_new_made", 1)
    if has_casts():
        bpf.resize("tt_made", sockets)
        return
    # Older kernels warn in their log of tracing programs that take memory as they run, until Linux
    # commit 34dd3bad1a6f ("bpf: Relax the requirement to use preallocated hash maps in tracing
    # progs.") (in v6.1), which has to be taken for one of them: it cannot be told apart.
    bpf.preallocate("tt_made")
    bpf.resize("tt_made", min(sockets, MOST_AT_ONCE))


class MadeSockets:
    """What is known of sockets by their cookies: of those that are open and were made meanwhile.

    `stacks` are the kernel's own walks that they name.
    """

    def __init__(self, bpf: BpfObject, layout: Layout, control: Records) -> None:
        self._fd, self._dtype = bpf.map_fd("tt_made"), layout.dtypes["made"]
        self._control = control
        self.stacks = StackMap(bpf, USER)

    def of(self, cookies: Iterable[int]) -> dict[int, Records]:
        """By cookie; those that are not known are left out."""
        found = {}
        for cookie in cookies:
            row = maps.get(self._fd, np.array([cookie], np.uint64), self._dtype)
            if row is not None:
                found[cookie] = row
        return found

    @property
    def unkept(self) -> int:
        """Sockets of which there was no room to keep it."""
        return int(self._control["unmade"][0])
