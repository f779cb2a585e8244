"""A script on the Python API: count accepts by process, with no work per event.

sudo .venv/bin/python examples/count_accepts.py [SECONDS]
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from tracer.flows.tally import Outcome
from tracer.session import Limits, Session, Settings
from tracer.views.base import View
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.head import Head


class AcceptCounter(View):
    """A view: it is told of batches, and adds them up."""

    def __init__(self) -> None:
        self.accepts: Counter[tuple[int, int]] = Counter()

    def begin(self, facts: Facts, head: Head) -> None:
        """Keep what the numbers must be read with."""
        self.facts = facts

    def batch(self, batch: Batch) -> None:
        """Add up a batch."""
        for task in batch.kinds.get("task", ()):
            self.facts.processes.add_event(task)
        if "accept" in batch.kinds:
            who = batch.kinds["accept"][["pid", "start"]]
            for owner, count in zip(*np.unique(who, return_counts=True), strict=True):
                self.accepts[tuple(owner.tolist())] += int(count)

    def notice(self, text: str) -> None:
        """Pass it on."""
        print(text, file=sys.stderr)

    def end(self, outcome: Outcome) -> None:
        """Show the counts."""
        for (pid, start), count in self.accepts.most_common():
            process = self.facts.process(pid, start)
            print(f"{process.pid if process else '-':>8} {count}")
        print(f"{outcome.tally.lost} lost", file=sys.stderr)


if __name__ == "__main__":
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    Session(Settings(), AcceptCounter(), limits=Limits(seconds=seconds)).run()
