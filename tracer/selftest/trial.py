"""One run of the self-test: a session like any other, of one namespace."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tracer.errors import NotPermittedError, UnsupportedError
from tracer.flows.tally import Outcome
from tracer.kernel import preflight
from tracer.kernel.features import choose
from tracer.kernel.syn_drops import find_code
from tracer.probes import DROP, SYN_DROP
from tracer.selftest.results import EXPECTED, Result, compare, records, split_drops
from tracer.selftest.workload import LIMIT_S, Workload
from tracer.session import Limits, Session, Settings
from tracer.views.base import View
from tracer.views.columns import Facts
from tracer.wire.batch import Batch
from tracer.wire.filters import Filters
from tracer.wire.head import Head
from tracer.wire.layout import Records


@dataclass(frozen=True)
class Trial:
    """What came of it, and how each subject was attached."""

    results: list[Result]
    attached: dict[str, str]


def run(settings: Settings) -> Trial:
    """Make the connections, trace them, compare. Errors: TracerError."""
    preflight.check()
    untried = _untried()
    kinds = frozenset(EXPECTED.keys() - untried.keys())
    work = Workload()
    try:
        limits = Limits(seconds=LIMIT_S)
        view = _Gather(limits, records(kinds))
        asked = replace(
            settings,
            filters=Filters(netns=frozenset({work.netns})),
            kinds=kinds,
        )
        Session(asked, view, ready=work.go, limits=limits).run()
        account = work.account()
    finally:
        work.close()
    counts = {"lost": view.lost_records, "missed": view.missed, "strays": view.strays}
    results = compare(view.told, untried, facts=view.facts, work=work, account=account, **counts)
    return Trial(results, view.head.attached)


def _untried() -> dict[str, str]:
    """Kinds that this caller may not have, or this kernel has not, and why."""
    found = {}
    if choose(DROP).rung is None:
        found["drop"] = f"not tried: {DROP.without}"
    rung = choose(SYN_DROP).rung
    if rung is None or rung.how != "raw_tp":
        return found
    try:
        find_code()
    except (NotPermittedError, UnsupportedError) as error:
        found["syn_drop"] = f"not tried: {error.message}"
    return found


class _Gather(View):
    """Keeps every record, and ends the session when there are as many as there should be."""

    gathers = False

    def __init__(self, limits: Limits, expected: int) -> None:
        self.told: dict[str, list[Records]] = {}
        self.lost_records = self.missed = self.strays = 0
        self._limits, self._missing = limits, expected

    def begin(self, facts: Facts, head: Head) -> None:
        """The session begins."""
        self.facts, self.head = facts, head

    def batch(self, batch: Batch) -> None:
        """Keep them."""
        for task in batch.kinds.get("task", ()):
            self.facts.processes.add_event(task)
        for kind in EXPECTED:
            found = batch.kinds.get(kind)
            if kind == "drop" and found is not None:
                found, strays = split_drops(found, self.facts)
                self.strays += strays
            if found is not None and len(found):
                self.told.setdefault(kind, []).append(found.copy())
                self._missing -= len(found)
        if self._missing <= 0:
            self._limits.stop = self._limits.stop or "complete"

    def end(self, outcome: Outcome) -> None:
        """Keep what was lost."""
        self.lost_records = outcome.tally.lost
        self.missed = sum(outcome.tally.missed.values())
