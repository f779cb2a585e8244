"""The frames of a session that tell of stacks of calls: the kernel's and those of processes."""

from __future__ import annotations

from collections.abc import Iterator

from tracer.attribution.call_frames import Seen
from tracer.attribution.user_code import UserCode
from tracer.kernel.buffers import Chunk
from tracer.kernel.live import LiveSource
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records
from tracer.wire.made import gather
from tracer.wire.recording import Frame
from tracer.wire.stacks import Owned, Told


class StackFrames:
    """Each stack is told of once, before what names it: a process may be gone soon after."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._code = UserCode()

    def of_records(self, chunk: Chunk) -> Iterator[Frame]:
        """A frame with what is new in a run of large samples, if there is anything."""
        if self._source.stacks is None:
            return
        drops = self._source.drop_records(chunk)
        kernel = self._source.stacks.of_kernel(distinct(drops["stack"]).tolist())
        yield from _frames(Told(kernel, self._of_owners(drops)))

    def of_counts(self, pairs: Records) -> Iterator[Frame]:
        """The same of the kernel's counts by place."""
        if self._source.stacks is None:
            return
        counted = pairs["key"]["stack"][pairs["key"]["matched"] > 0]
        yield from _frames(Told(self._source.stacks.of_kernel(distinct(counted).tolist())))

    def _of_owners(self, drops: Records) -> dict[Owned, list[str]]:
        stacks = self._source.stacks
        assert stacks is not None
        by_process: dict[tuple[int, int], dict[int, list[int]]] = {}
        for (pid, start, number), addresses in stacks.of_owners(drops).items():
            by_process.setdefault((pid, start), {})[number] = addresses
        visible = self._source.initial_pids  # else PIDs are not those of /proc
        return {
            Owned(*process, number): stacks.ended(frames)
            for process, found in by_process.items()
            for number, frames in self._code.stacks(*process, found, visible).items()
        }


def _frames(told: Told) -> Iterator[Frame]:
    if told.kernel or told.user:
        yield Frame("STAK", told.to_bytes())


class MadeFrames:
    """The frame that tells where those sockets were made that are not closed at the end."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._code = UserCode(walks=True)

    def of_open(self, rows: Records) -> Iterator[Frame]:
        """Of what is open, those whose peers have closed: their processes are still there."""
        made, enums = self._source.made, self._source.layout.enums
        if made is None:
            return
        waiting = rows["cookie"][rows["state"] == enums["tcp_state"]["CLOSE_WAIT"]]
        kept = made.of(waiting.tolist())
        chains = {number: made.stacks.read(number) for number in self._numbers(kept)}
        by_process: dict[tuple[int, int], dict[int, Seen]] = {}
        for cookie, row in kept.items():
            process = int(row["pid"][0]), int(row["start"][0])
            chain = chains.get(int(row["user_stack"][0]), [])
            by_process.setdefault(process, {})[cookie] = _seen(row, chain)
        visible = self._source.initial_pids
        known = {
            cookie: (int(kept[cookie]["role"][0]), frames)
            for process, seen in by_process.items()
            for cookie, frames in self._code.callers(*process, seen, visible).items()
        }
        lost = enums["stack_is"]["LOST"]
        cut = frozenset(cookie for cookie, row in kept.items() if int(row["user_stack"][0]) == lost)
        yield Frame("MADE", gather(known, cut, made.unkept).to_bytes())

    def _numbers(self, kept: dict[int, Records]) -> set[int]:
        none = set(self._source.layout.enums["stack_is"].values())
        return {int(row["user_stack"][0]) for row in kept.values()} - none


def _seen(row: Records, chain: list[int]) -> Seen:
    ip, sp, bp = (int(row[name][0]) for name in ("ip", "sp", "bp"))
    return Seen(ip, sp, bp, tuple(row["top"][0].tolist()), tuple(chain))
