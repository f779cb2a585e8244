"""`states`: sockets by state and process, transitions, and the time spent in each state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tracer.attribution.cgroups import container_of
from tracer.errors import TracerError
from tracer.flows.drops import Counters
from tracer.flows.grouping import Numbers, owned
from tracer.flows.ownership import Holding, holdings
from tracer.flows.transitions import Spread, TransitionTable, opens
from tracer.views.keys import By, columns
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.reconciled import Witness, proof_document
from tracer.views.schema_words import STATES
from tracer.views.scope import probes
from tracer.views.spreads import at_least, most, percentiles, quantile, timed
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part, Table
from tracer.views.text import duration, escape
from tracer.wire.batch import Batch
from tracer.wire.filters import Filters
from tracer.wire.layout import Records
from tracer.wire.refuse import lasting

SHOWN = ("ESTABLISHED", "SYN_SENT", "CLOSE_WAIT", "LISTEN", "TIME_WAIT")
OPENS = ("PassiveOpens", "ActiveOpens")
# what may be told that the kernel's counters do not have
GONE = "was in a network namespace that ended meanwhile"
SHORT = {
    "PassiveOpens": f"the rest {GONE}",
    "ActiveOpens": f"the rest sent no SYN, as without a free port, or {GONE}",
}
# whose oldest socket tells most: the first of these that a process has
TELLING = ("CLOSE_WAIT", "SYN_SENT", "LAST_ACK", "FIN_WAIT1", "CLOSING", "FIN_WAIT2", "ESTABLISHED")


@dataclass(frozen=True)
class Row:
    """What one owner has, and its sockets by the names of their states."""

    pid: int | None
    name: str
    now: dict[str, int]
    oldest: tuple[str, int, bool]  # state, ns, whether that is exact
    holding: Holding
    key: tuple[object, ...] = ()  # with --by

    def other(self) -> int | None:
        """In states without a column."""
        return sum(n for state, n in self.now.items() if state not in SHOWN) or None

    def oldest_text(self) -> str:
        """`CLOSE_WAIT >=30s`."""
        state, age_ns, exact = self.oldest
        name = "ESTAB" if state == "ESTABLISHED" else state
        return f"{name} {'' if exact else '>='}{duration(age_ns)}" if age_ns else "-"


def _in(title: str, state: str, spare: int = 0) -> Column[Row]:
    return Column(title, lambda row: row.now.get(state) or None, spare=spare)


PROCESS: tuple[Column[Row], ...] = (
    Column("PID", lambda row: row.pid),
    Column("PROCESS", lambda row: row.name, words=True),
)
NUMBERS: tuple[Column[Row], ...] = (
    _in("ESTAB", "ESTABLISHED"),
    _in("SYN_SENT", "SYN_SENT", spare=1),
    _in("CLOSE_WAIT", "CLOSE_WAIT"),
    _in("LISTEN", "LISTEN", spare=4),
    Column("OTHER", Row.other, spare=5),
    _in("TIME_WAIT", "TIME_WAIT", spare=2),
    Column("OPENED", lambda row: row.holding.opened),
    Column("CLOSED", lambda row: row.holding.closed),
    Column("FAILED", lambda row: row.holding.failed),
    Column("OLDEST", lambda row: row.oldest[1] or None, words=True, spare=3, text=Row.oldest_text),
)
Transition = tuple[str, Spread]
TRANSITIONS: tuple[Column[Transition], ...] = (
    Column("TRANSITION", lambda row: row[0], words=True),
    Column("COUNT", lambda row: row[1].count),
    Column("IN FIRST STATE: p50", lambda row: quantile(row[1], 0.5)),
    Column("p99", lambda row: quantile(row[1], 0.99)),
    Column("max", lambda row: most(row[1])),
)
TIMED: Column[Transition] = Column("TIMED", lambda row: timed(row[1]))


class StatesView(SummaryView):
    """What each process has now, and what became of its sockets."""

    command = "states"
    kind = "state_summary"
    needs: tuple[str, ...] = ("records", "counts")
    counts_transitions = True

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look | None = None,
        by: By | None = None,
        filters: Filters | None = None,
    ) -> None:
        self._by, self._filters = by, filters or Filters()
        super().__init__(output, notices, look)

    def start(self) -> None:
        """Begin to gather. Errors: TracerError where counts are kept that --by cannot use."""
        counted = "records" not in self.head.keeps and self.counts_transitions
        if counted and self._by and self._by.needs_records:
            raise TracerError(
                "this recording keeps counts by process; what --by asks for needs records",
                "make it with: tcptrace record FILE",
            )
        self._numbers = Numbers(self._by.grouping()) if self._by else None
        self.whole = TransitionTable(self.facts.layout)
        self._before = TransitionTable(self.facts.layout)
        self._sockets: Records | None = None
        self._witness = Witness(OPENS, short=SHORT, together=True)

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if "state" in batch.kinds:
            self.whole.add(self._own(batch.kinds["state"]))

    def counts(self, keys: Records, values: Records) -> None:
        """Take the kernel's own counts, which cover the session so far."""
        self.whole.set_counts(self._own(keys), values)

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets."""
        self._sockets = self._own(lasting(rows, self._filters))

    def _own(self, records: Records) -> Records:
        """With --by, records of whom it groups by instead of whose they are."""
        return self._numbers.own(records) if self._numbers else records

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        self._witness.edge(moved)

    def turn(self) -> None:
        """The next interval counts from here."""
        self._before = self.whole.copy()

    def _counted(self, block: Block) -> TransitionTable:
        return self.whole if block.total else self.whole.minus(self._before)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the transitions."""
        return probes(self.head, "state")

    def shown(self) -> Sequence[Column[Row]]:
        """Whose, then what."""
        first = columns(self._by.words, lambda row: row.key) if self._by else PROCESS
        return (*first, *NUMBERS)

    def _found(self, block: Block) -> tuple[list[Row], list[str]]:
        """Processes, the ones in trouble first, but if they are to be sorted otherwise."""
        counted, layout = self._counted(block), self.facts.layout
        if self._by is None or self._numbers is None:
            found = holdings(self._sockets, counted, layout)
            return self.chosen([self._row(one) for one in sorted(found, key=self._trouble)])
        label = self._by.label(self.facts)
        names: dict[tuple[object, ...], int] = {}
        group = np.array(
            [names.setdefault(label(place), len(names)) for place in self._numbers.places], np.int64
        )
        sockets = self._sockets
        if sockets is not None:
            sockets = owned(sockets, group[sockets["pid"].astype(np.int64)])
        found = holdings(sockets, counted.regrouped(group), layout)
        keys = list(names)
        found.sort(key=self._trouble)
        return self.chosen([replace(self._row(one), key=keys[one.pid]) for one in found])

    def parts(self, block: Block) -> list[Part]:
        """Processes, then transitions of all of them."""
        rows, more = self._found(block)
        parts: list[Part] = [self.table(rows), *more, *self._untaken(rows)]
        found = _by_count(self._counted(block).transitions())
        named = [(self._transition(key), spread) for key, spread in found]
        older = sum(spread.at_least for _, spread in found)
        if not older:
            return [*parts, Table(TRANSITIONS, named, fits=False)] if named else parts
        told = f"{older} began before tracing: at least so long; p50 and p99 are of the TIMED alone"
        return [*parts, Table((*TRANSITIONS[:2], TIMED, *TRANSITIONS[2:]), named, fits=False), told]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        partial = block.outcome is None or not self.is_whole(block.outcome)
        if partial or "state" not in self.head.kinds:
            return [], []
        told = {0: opens(self.whole, self.facts.layout)}
        moment = self.facts.clock.iso(block.now_ns)
        documents = [proof_document(one, moment) for one in self._witness.proof(told)]
        return self._witness.lines(told, ()), documents

    def documents(self, block: Block) -> list[Document]:
        """A record for each process."""
        return [self._document(row) for row in self._found(block)[0]]

    def _name(self, holding: Holding) -> tuple[int | None, str]:
        process = self.facts.process(holding.pid, holding.start)
        if process is None:
            owner = self.facts.owners.get(holding.owner_is, "unknown")
            return None, "(kernel)" if owner == "kernel" else "(unknown)"
        gone = "(exited) " if process.exited_ns else ""
        return process.pid, gone + escape(process.comm)

    def _trouble(self, holding: Holding) -> tuple[int, int]:
        names = self.facts.layout.enums["tcp_state"]
        waiting = holding.now.get(names["CLOSE_WAIT"], 0) + holding.now.get(names["SYN_SENT"], 0)
        return -waiting, -sum(holding.now.values())

    def _row(self, holding: Holding) -> Row:
        pid, name = self._name(holding)
        now = {self.facts.states[state]: count for state, count in holding.now.items()}
        states = self.facts.layout.enums["tcp_state"]
        ages = ((state, holding.oldest.get(states[state], (0, True))) for state in TELLING)
        oldest = next(((state, *age) for state, age in ages if age[0]), ("", 0, True))
        return Row(pid, name, now, oldest, holding)

    def _transition(self, key: tuple[int, int, int]) -> str:
        old, new, timewait = key
        name = f"{self.facts.states[old]} -> {self.facts.states[timewait or new]}"
        return f"{name} (mini-socket)" if timewait == old else name

    def _untaken(self, rows: list[Row]) -> list[str]:
        """A CLOSE_WAIT that was never accepted is no descriptor that leaks."""
        state = self.facts.layout.enums["tcp_state"]["CLOSE_WAIT"]
        lines = []
        for row in rows:
            count, whole = row.holding.untaken.get(state, 0), row.holding.now.get(state, 0)
            if count:
                lines.append(
                    f"{self._called(row)}: {count} of {whole} in CLOSE_WAIT were never"
                    " accepted (tcptrace accepts)"
                )
        return lines

    def _called(self, row: Row) -> str:
        if self._by is None:
            return f"{row.name}[{row.pid or '-'}]"
        return " ".join("-" if key is None else escape(str(key)) for key in row.key)

    def _owner(self, row: Row) -> Document:
        """Whose it is, or what --by calls it."""
        if self._by is not None:
            nobody: Document = dict.fromkeys(("pid", "comm", "container"))
            return nobody | dict(zip(self._by.words, row.key, strict=True))
        process = self.facts.process(row.holding.pid, row.holding.start)
        path = self.facts.cgroups.get(process.cgroup_id) if process else None
        comm = process.comm if process else None
        return {"pid": row.pid, "comm": comm, "container": container_of(path)}

    def _document(self, row: Row) -> Document:
        holding = row.holding
        names = self.facts.states
        ages = sorted(holding.oldest.items())
        return {
            **self._owner(row),
            "now": {names[state]: count for state, count in sorted(holding.now.items())},
            "unaccepted": {names[state]: n for state, n in sorted(holding.untaken.items())},
            "oldest_us": {names[state]: age // 1000 for state, (age, exact) in ages if exact},
            "oldest_at_least_us": {
                names[state]: age // 1000 for state, (age, exact) in ages if age and not exact
            },
            "transitions": [
                {
                    "old": names[old],
                    "new": names[new],
                    "timewait": names[timewait] if timewait else None,
                    "count": spread.count,
                    "dwell_us": percentiles(spread),
                    **at_least("dwell", spread),
                }
                for (old, new, timewait), spread in holding.transitions.items()
            ],
            "opened": holding.opened,
            "closed": holding.closed,
            "failed": holding.failed,
        }

    def columns(self) -> Sequence[str]:
        """Sockets by state now, and what happened; for transitions ask for JSON."""
        words = self._by.words if self._by else ()
        first = dict.fromkeys(("pid", "comm", "container", *words))
        return (*first, *STATES, "opened", "closed", "failed")

    def cells(self, document: Document) -> Document:
        """A cell for each state."""
        cells: Document = dict.fromkeys(STATES, 0)
        return {**cells, **document, **document["now"]}


def _by_count(
    found: dict[tuple[int, int, int], Spread],
) -> list[tuple[tuple[int, int, int], Spread]]:
    return sorted(found.items(), key=lambda item: -item[1].count)
