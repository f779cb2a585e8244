"""What `f` and `o` narrow the screen to: filters as on the command line, and one process."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tracer.attribution.owned import called, in_groups, packed
from tracer.flows.sockets import Owner
from tracer.views.columns import Facts
from tracer.views.text import escape
from tracer.wire.filters import Filters
from tracer.wire.layout import Records
from tracer.wire.refuse import refuse

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Narrowing:
    """Which sockets and events are shown; what is gathered stays as it is."""

    filters: Filters = field(default_factory=Filters)
    owner: Owner | None = None

    def __bool__(self) -> bool:
        return self != Narrowing()

    def words(self, facts: Facts) -> str:
        """As the header says it."""
        found = [escape(text) for text in self.filters.describe().values()]
        if self.owner is not None:
            process = facts.process(*self.owner)
            name = escape(process.comm) if process else "unknown"
            found.append(f"of {name}[{(process and process.pid) or '-'}]")
        return " ".join(found)

    def passes(self, records: Records, facts: Facts) -> Mask:
        """Which of these sockets or events are shown."""

        def owned(name: str, filters: Filters, found: Records) -> Mask:
            if name == "COMM":
                return called(filters.comms, facts.processes, found)
            if name == "CGROUP":
                return in_groups(filters.cgroups, facts.cgroups, found)
            keys = facts.processes.descendants(set(filters.pids), filters.follow)
            return np.isin(packed(found), np.array([p << 32 | s for p, s in keys], np.uint64))

        mask, _ = refuse(self.filters, records, facts.layout, owned)
        if self.owner is not None:
            mask &= (records["pid"] == self.owner[0]) & (records["start"] == self.owner[1])
        return mask
