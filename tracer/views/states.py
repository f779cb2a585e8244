"""`states`: sockets by state and process, transitions, and the time spent in each state."""

from __future__ import annotations

from collections.abc import Sequence

from tracer.attribution.cgroups import container_of
from tracer.flows.ownership import Holding, holdings
from tracer.flows.transitions import Spread, TransitionTable
from tracer.views.scope import probes
from tracer.views.spreads import percentiles, quantile
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Heading, limited, table
from tracer.views.text import duration, escape
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

SHOWN = ("ESTABLISHED", "SYN_SENT", "CLOSE_WAIT", "LISTEN", "TIME_WAIT")
# whose oldest socket tells most: the first of these that a process has
TELLING = ("CLOSE_WAIT", "SYN_SENT", "LAST_ACK", "FIN_WAIT1", "CLOSING", "FIN_WAIT2", "ESTABLISHED")
HEADINGS = (
    Heading("PID"),
    Heading("PROCESS", words=True),
    Heading("ESTAB"),
    Heading("SYN_SENT", spare=1),
    Heading("CLOSE_WAIT"),
    Heading("LISTEN", spare=4),
    Heading("OTHER", spare=5),
    Heading("TIME_WAIT", spare=2),
    Heading("OPENED"),
    Heading("CLOSED"),
    Heading("FAILED"),
    Heading("OLDEST", words=True, spare=3),
)
TRANSITIONS = (
    Heading("TRANSITION", words=True),
    Heading("COUNT"),
    Heading("IN FIRST STATE: p50"),
    Heading("p99"),
    Heading("max"),
)


class StatesView(SummaryView):
    """What each process has now, and what became of its sockets."""

    command = "states"
    kind = "state_summary"
    needs = ("records", "counts")

    def start(self) -> None:
        """Begin to gather."""
        self.table = TransitionTable(self.facts.layout)
        self._before = TransitionTable(self.facts.layout)
        self._sockets: Records | None = None

    def gather(self, batch: Batch) -> None:
        """Count a batch."""
        if "state" in batch.kinds:
            self.table.add(batch.kinds["state"])

    def counts(self, keys: Records, values: Records) -> None:
        """Take the kernel's own counts, which cover the session so far."""
        self.table.set_counts(keys, values)

    def sockets(self, rows: Records) -> None:
        """Take the latest pass over the sockets."""
        self._sockets = rows

    def turn(self) -> None:
        """The next interval counts from here."""
        self._before = self.table.copy()

    def _counted(self, block: Block) -> TransitionTable:
        return self.table if block.total else self.table.minus(self._before)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the transitions."""
        return probes(self.head, "state")

    def lines(self, block: Block) -> list[str]:
        """Processes, the ones in trouble first; then transitions."""
        counted, width = self._counted(block), self.output.width
        found = sorted(holdings(self._sockets, counted, self.facts.layout), key=self._trouble)
        rows, more = limited([self._row(holding) for holding in found], self.limit)
        lines = [*table(HEADINGS, rows, width), *more, *self._untaken(found)]
        transitions = [self._transition(k, s) for k, s in _by_count(counted.transitions())]
        return lines + (table(TRANSITIONS, transitions) if transitions else [])

    def documents(self, block: Block) -> list[Document]:
        """A record for each process."""
        found = holdings(self._sockets, self._counted(block), self.facts.layout)
        return [self._document(holding) for holding in found]

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

    def _row(self, holding: Holding) -> list[str]:
        pid, name = self._name(holding)
        states = self.facts.layout.enums["tcp_state"]
        cells = [holding.now.get(states[state], 0) for state in SHOWN]
        other = sum(holding.now.values()) - sum(cells)
        shown = [str(cell) if cell else "-" for cell in (*cells[:4], other, cells[4])]
        counts = [str(count) for count in (holding.opened, holding.closed, holding.failed)]
        return [str(pid or "-"), name, *shown, *counts, self._oldest(holding)]

    def _oldest(self, holding: Holding) -> str:
        states = self.facts.layout.enums["tcp_state"]
        for name in TELLING:
            age = holding.oldest.get(states[name])
            if age:
                bound = "" if age[1] else ">="
                return f"{'ESTAB' if name == 'ESTABLISHED' else name} {bound}{duration(age[0])}"
        return "-"

    def _transition(self, key: tuple[int, int, int], spread: Spread) -> list[str]:
        old, new, timewait = key
        name = f"{self.facts.states[old]} -> {self.facts.states[timewait or new]}"
        if timewait == old:
            name += " (mini-socket)"
        most = "-"
        if spread.most_at_least > spread.most:
            most = f">={duration(spread.most_at_least)}"
        elif len(spread.weights):
            most = duration(spread.most)
        return [name, str(spread.count), quantile(spread, 0.5), quantile(spread, 0.99), most]

    def _untaken(self, found: list[Holding]) -> list[str]:
        """A CLOSE_WAIT that was never accepted is no descriptor that leaks."""
        state = self.facts.layout.enums["tcp_state"]["CLOSE_WAIT"]
        lines = []
        for holding in found:
            count, whole = holding.untaken.get(state, 0), holding.now.get(state, 0)
            if count:
                pid, name = self._name(holding)
                lines.append(
                    f"{name}[{pid or '-'}]: {count} of {whole} in CLOSE_WAIT were never accepted"
                    " (tcptrace accepts)"
                )
        return lines

    def _document(self, holding: Holding) -> Document:
        pid, _ = self._name(holding)
        process = self.facts.process(holding.pid, holding.start)
        path = self.facts.cgroups.get(process.cgroup_id) if process else None
        names = self.facts.states
        ages = sorted(holding.oldest.items())
        return {
            "pid": pid,
            "comm": process.comm if process else None,
            "container": container_of(path),
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
                }
                for (old, new, timewait), spread in holding.transitions.items()
            ],
            "opened": holding.opened,
            "closed": holding.closed,
            "failed": holding.failed,
        }

    def columns(self) -> Sequence[str]:
        """Sockets by state now, and what happened; for transitions ask for JSON."""
        states = [name for name in self.facts.layout.enums["tcp_state"] if name != "NONE"]
        return ("pid", "comm", "container", *states, "opened", "closed", "failed")

    def cells(self, document: Document) -> Document:
        """A cell for each state."""
        cells: Document = dict.fromkeys(self.facts.layout.enums["tcp_state"], 0)
        return {**cells, **document, **document["now"]}


def _by_count(
    found: dict[tuple[int, int, int], Spread],
) -> list[tuple[tuple[int, int, int], Spread]]:
    return sorted(found.items(), key=lambda item: -item[1].count)
