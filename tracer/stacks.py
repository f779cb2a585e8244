"""The frames of a session that tell of stacks of calls: the kernel's and those of processes."""

from __future__ import annotations

from collections.abc import Iterator

from tracer.attribution.user_code import UserCode
from tracer.kernel.buffers import Chunk
from tracer.kernel.live import LiveSource
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records
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
