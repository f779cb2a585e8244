"""`top`: who has connections, what they carry, what fails; refreshed on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tracer.attribution.cgroups import container_of, unit_of
from tracer.flows.grouping import AT, Numbers
from tracer.flows.traffic import SUMS, Traffic
from tracer.views.keys import By
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import escape
from tracer.views.top_rows import KINDS, NUMBERS, Row, document, first_columns, trouble
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

CLEAR = "\x1b[H\x1b[2J"


class TopView(SummaryView):
    """A block at each interval: what moved in it. `redraws`: each takes the last one's place."""

    command = "top"
    needs = ("connections",)
    kinds = frozenset({"connection"})

    def __init__(
        self, output: Output, notices: Notices, look: Look, by: By, redraws: bool = False
    ) -> None:
        self._by, self._redraws = by, redraws
        self.kind = KINDS[by.words[0]]
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather."""
        self._groups_of: dict[str | None, str] = {}  # a control group of each container
        self._numbers = Numbers(self._by.grouping())
        self._traffic = Traffic(self.facts.layout, self._numbers, self._began_ns)

    def connections(self, rows: Records, now_ns: int) -> None:
        """Take a pass."""
        self._traffic.look(rows)

    def gather(self, batch: Batch) -> None:
        """What ended, with all that it carried."""
        if "connection" in batch.kinds:
            self._traffic.ended(batch.kinds["connection"])

    def turn(self) -> None:
        """The next interval begins."""
        self._traffic.turn()

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What the numbers stand on."""
        return "looks at the open, records of the ended"

    def shown(self) -> Sequence[Column[Row]]:
        """Whose, then what."""
        return (*first_columns(self._by.words), *NUMBERS)

    def parts(self, block: Block) -> list[Part]:
        """The table, and what could not be counted."""
        rows, more = self.chosen(self._rows(block))
        if self._redraws and not block.total:
            self.output.write([CLEAR])
        return [self.table(rows), *more, *self._untold()]

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [row.identity | document(row) for row in self.chosen(self._rows(block))[0]]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        named = ("pid", "comm", "cgroup", "container", "unit")
        first = named if self._by.words == ("pid",) else (*self._by.words, "unit")
        empty = Row((), 0.0, 0, dict.fromkeys(SUMS, 0), None, {})
        return (*dict.fromkeys(first), *document(empty))

    def _untold(self) -> list[str]:
        count = self._traffic.unknown
        told = "had ended before the first look: what they carried since the begin is not known"
        return [f"{count} older ones {told}"] if count else []

    # --- rows -----------------------------------------------------------------

    def _rows(self, block: Block) -> list[Row]:
        traffic = self._traffic
        sums = traffic.whole if block.total else traffic.since
        rtts = traffic.rtts_whole if block.total else traffic.rtts_since
        opened, (numbers, times) = traffic.open_count(), rtts.with_open(*traffic.open_srtt())
        paths = self.facts.cgroups.values() if "container" in self._by.words else ()
        self._groups_of = {container_of(path): path for path in paths}
        self._groups_of.pop(None, None)  # those of none
        names, group = self._groups()
        count = len(names)
        summed = np.zeros((count, len(SUMS)), np.int64)
        np.add.at(summed, group[: len(sums)], sums)
        held = np.zeros(count, np.int64)
        np.add.at(held, group[: len(opened)], opened)
        medians = _medians(group[numbers], times)
        rows = [
            self._row(name, block, int(held[i]), summed[i].tolist(), medians.get(i))
            for i, name in enumerate(names)
            if held[i] or summed[i].any()
        ]
        return sorted(rows, key=trouble)

    def _groups(self) -> tuple[list[tuple[Any, ...]], NDArray[np.int64]]:
        """What rows are called, and which of them each number belongs to."""
        places = self._numbers.places
        names: dict[tuple[Any, ...], int] = {}
        label = self._process if self._by.words == ("pid",) else self._by.label(self.facts)
        group = [names.setdefault(label(place), len(names)) for place in places]
        return list(names), np.array(group, np.int64)

    def _process(self, place: Sequence[int]) -> tuple[object, ...]:
        """PID, name and start, so that a PID used again is another row."""
        start = place[AT["start"]]
        process = self.facts.process(place[AT["pid"]], start)
        if process is None:
            return None, None, 0, 0, False
        return process.pid, process.comm, process.cgroup_id, start, bool(process.exited_ns)

    def _row(
        self, name: tuple[Any, ...], block: Block, held: int, sums: list[int], srtt: int | None
    ) -> Row:
        seconds = block.span_ns / 1e9
        carried = dict(zip(SUMS, sums, strict=True))
        if self._by.words == ("pid",):
            pid, comm, group, _, gone = name
            path = self.facts.cgroups.get(group)
            shown = "(unknown)" if comm is None else ("(exited) " if gone else "") + escape(comm)
            identity = {"pid": pid, "comm": comm, "cgroup": path, "container": container_of(path)}
            identity["unit"] = unit_of(path)
            return Row((pid, shown, unit_of(path)), seconds, held, carried, srtt, identity)
        identity = dict(zip(self._by.words, name, strict=True))
        group = identity.get("cgroup") or self._groups_of.get(identity.get("container"))
        identity["unit"] = unit_of(group)
        return Row(name, seconds, held, carried, srtt, identity)


def _medians(groups: NDArray[np.int64], values: NDArray[np.int64]) -> dict[int, int]:
    """The median of each group."""
    order = np.lexsort((values, groups))
    groups, values = groups[order], values[order]
    found, first, counts = np.unique(groups, return_index=True, return_counts=True)
    middle = first + (counts - 1) // 2
    return dict(zip(found.tolist(), values[middle].tolist(), strict=True))
