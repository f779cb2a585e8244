"""What records name by numbers alone, looked up when it is met first, and told in frames."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tracer.attribution import cgroups, descriptors
from tracer.kernel.buffers import Chunk
from tracer.kernel.live import LiveSource
from tracer.wire.recording import Frame

DESCRIPTORS_S = 1.0  # of one process, count its descriptors again after this long


class Descriptors:
    """How many descriptors those have who could not accept for want of one, as they stand then."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], float] = {}

    def frames(self, source: LiveSource, chunk: Chunk) -> Iterator[Frame]:
        """A frame with the numbers of those not looked at within the last second."""
        if not source.initial_pids:
            return
        now, found = time.monotonic(), []
        for pid, start in source.out_of_descriptors(chunk):
            if now - self._told.get((pid, start), 0) < DESCRIPTORS_S:
                continue
            self._told[pid, start] = now
            numbers = descriptors.in_use(pid)
            if numbers:
                found.append((pid, start, *numbers))
        if found:
            yield Frame("DESC", json.dumps(found).encode())


class Code:
    """Where in the kernel's code packets were let go of, told once each."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self._told: set[int] = set()

    def frames(self, addresses: list[int]) -> Iterator[Frame]:
        """A frame with the names of those not told of yet, if there are any."""
        new = set(addresses) - self._told
        if not new:
            return
        self._told |= new
        found = self._source.code(new)
        yield Frame("CODE", json.dumps({str(key): name for key, name in found.items()}).encode())


class Groups:
    """Paths of control groups, told once each, looked up when a new id is met."""

    def __init__(self, source: LiveSource) -> None:
        self._source, self._mount = source, cgroups.find_mount()
        self._paths: dict[int, str] = {}
        self._told: set[int] = set()

    def frames(self, ids: list[int]) -> Iterator[Frame]:
        """A frame with the paths of those not told of yet, if there are any."""
        new = set(ids) - self._told
        if not new or self._mount is None:
            return
        self._told |= new
        found = cgroups.walk(self._mount)
        self._paths |= found
        if gone := new - self._paths.keys():
            made = self._source.made_groups()
            paths = {number: cgroups.path_of(number, self._paths, made) for number in gone}
            found |= {number: path for number, path in paths.items() if path is not None}
        self._told |= set(found)
        yield Frame("CGRP", json.dumps({str(key): path for key, path in found.items()}).encode())
