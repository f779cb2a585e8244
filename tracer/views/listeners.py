"""`listeners`: the queues of every listening socket, how deep, how long full, what they lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tracer.flows.drops import DROPS, Counters, explained
from tracer.flows.listeners import Listener, ListenerTable
from tracer.flows.tally import Outcome
from tracer.views.closing import explain_lost
from tracer.views.reconciled import Witness, proof_document
from tracer.views.scope import probes
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part
from tracer.views.text import address, escape
from tracer.wire.distinct import distinct
from tracer.wire.layout import Records

ANY = (b"\0" * 16, b"\0" * 10 + b"\xff\xff" + b"\0" * 4)
MEMBERS = (
    *("listener_addr", "listener_port", "listener_pid", "listener_comm"),
    *("listener_cookie", "netns", "holders", "reuseport", "defer_accept", "fastopen"),
    *("accept_queue", "accept_queue_peak", "accept_queue_max", "max_set_by", "full_us"),
    *("syn_queue", "syn_queue_peak", "syn_queue_max", "finished", "accepts", "reset_in_queue"),
    *("never_accepted", "overflows", "syn_drops", "cookies_sent", "opened", "closed"),
)


@dataclass(frozen=True)
class Row:
    """A listening socket over a span; what it is called, and who owns it."""

    one: Listener
    span_ns: int
    name: str
    owner: str | None
    syn_queue_peak: int | None

    @property
    def closed(self) -> bool:
        """Whether it does not listen any more."""
        return bool(self.one.row["closed_ns"])

    def depth(self, queue: str) -> int | None:
        """How many wait now."""
        return None if self.closed else int(self.one.row[f"{queue}_queue"])

    def limit(self) -> int:
        """Of both queues."""
        return int(self.one.row["accept_queue_max"])

    def full(self) -> float:
        """Share of the span that the accept queue was full."""
        return self.full_ns() / self.span_ns if self.span_ns else 0.0

    def full_ns(self) -> int:
        """Time at full; within the span, though a queue that was full may not have stayed so."""
        return max(0, min(self.one.counted["full_ns"], self.span_ns))

    def accepts(self) -> float | None:
        """A second."""
        return self.one.counted["accepts"] * 1e9 / self.span_ns if self.span_ns else None

    def dropped(self) -> int:
        """SYNs and final ACKs."""
        return sum(self.one.drops.values())


def rate(value: float) -> str:
    """A second: two digits where it is less than ten."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def marked(count: int) -> str:
    """`!` where it is not none."""
    return f"{count} !" if count else "0"


COLUMNS: tuple[Column[Row], ...] = (
    Column("LISTENER", lambda row: row.name + (" (closed)" if row.closed else ""), words=True),
    Column("OWNER", lambda row: row.owner, words=True),
    Column("QUEUE", lambda row: row.depth("accept")),
    Column("PEAK", lambda row: row.one.accept_queue_peak),
    Column("MAX", Row.limit),
    Column("SET BY", lambda row: max_set_by(row.one.row), words=True, spare=2),
    Column("FULL", Row.full, "{:.0%}".format),
    Column("SYNQ", lambda row: row.depth("syn"), spare=3),
    Column("PEAK", lambda row: row.syn_queue_peak, spare=4, name="SYNQ PEAK"),
    Column("MAX", Row.limit, spare=5, name="SYNQ MAX"),
    Column("ACC/s", Row.accepts, rate, spare=1),
    Column("OVERFL", lambda row: row.one.counted["overflows"], marked),
    Column("DROPS", Row.dropped, marked),
)


class ListenersView(SummaryView):
    """Every listening socket, the ones in trouble first."""

    command = "listeners"
    kind = "listener"
    needs = ("listeners",)

    def start(self) -> None:
        """Begin to gather."""
        self._told: Counters = {}
        self._table = ListenerTable(self.facts.layout)
        self._witness = Witness(DROPS)

    def listeners(self, rows: Records) -> None:
        """Take a look at all of them."""
        self._table.look(rows)

    def drops(self, pairs: Records, filtered: bool) -> None:
        """What was told of drops, whatever the filters: the witness knows of none."""
        self._told = explained(pairs, self.facts.layout)

    def kernel(self, counters: Counters) -> None:
        """Take the witness's word."""
        self._witness.take(counters)

    def edge(self, moved: Counters) -> None:
        """What the witness cannot place."""
        self._witness.edge(moved)

    def afterwards(self, outcome: Outcome) -> list[str]:
        """A listener that is not asked for is no event that is missing."""
        return explain_lost(outcome.tally)

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """What sees the queues."""
        return probes(self.head)

    def shown(self) -> Sequence[Column[Row]]:
        """Whose, then both queues."""
        return COLUMNS

    def rows(self, block: Block) -> list[Row]:
        """All of the block, the ones in trouble first."""
        table = self._table
        found = table.in_all(block.now_ns) if block.total else table.since_last(block.now_ns)
        return [self._row(one, block.span_ns) for one in found]

    def parts(self, block: Block) -> list[Part]:
        """The table, and below it the causes of what was dropped."""
        rows, more = self.chosen(self.rows(block))
        places = {int(row.one.row["netns"]) for row in rows}
        causes = [text for row in rows if (text := self._causes(row.one, len(places) > 1))]
        return [self.table(rows), *more, *causes]

    def proof(self, block: Block) -> tuple[list[str], list[Document]]:
        """The kernel's account of the whole; none where filters leave out some of it."""
        if block.outcome is None or not self.is_whole(block.outcome):
            return [], []
        moment = self.facts.clock.iso(block.now_ns)
        documents = [proof_document(one, moment) for one in self._witness.proof(self._told)]
        return self._witness.lines(self._told, self.head.netns), documents

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [self._document(row) for row in self.chosen(self.rows(block))[0]]

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return MEMBERS

    def cells(self, document: Document) -> Document:
        """Drops of all causes together."""
        return document | {"syn_drops": sum(document["syn_drops"].values())}

    def _name(self, row: np.void) -> str:
        host = bytes(row["addr"])
        return self.facts.endpoint("*" if host in ANY else address(host), int(row["port"]))

    def _owner(self, row: np.void) -> str | None:
        process = self.facts.process(int(row["pid"]), int(row["start"]))
        if process is None:
            return None
        others = self._holders(row) - 1
        more = f" +{others}" if others > 0 else ""
        return f"{escape(process.comm)}[{process.pid or '-'}]{more}"

    def _holders(self, row: np.void) -> int:
        holders = self.facts.holders
        if holders is None:
            return 0
        return len(distinct(holders["pid"][holders["cookie"] == row["cookie"]]))

    def _row(self, one: Listener, span_ns: int) -> Row:
        name, owner = self._name(one.row), self._owner(one.row)
        return Row(one, span_ns, name, owner, self._syn_queue_peak(one))

    def _syn_queue_peak(self, one: Listener) -> int | None:
        """None where nobody can say: where packets are freed, twins are not told apart."""
        by_address = self.head.attached.get("syn_drop") == "raw_tp"
        if by_address and one.row["reuseport"] and not one.syn_queue_peak:
            return None
        return one.syn_queue_peak

    def _causes(self, one: Listener, several: bool) -> str:
        """`several`: network namespaces, of which it says which."""
        text = causes_of(one.counted, one.drops)
        if not text:
            return ""
        hint = "; a queue of MAX holds MAX+1" if "accept_queue_full" in one.drops else ""
        where = f" netns {int(one.row['netns'])}" if several else ""
        return f"{self._name(one.row)}{where}  {text}{hint}"

    def _document(self, found: Row) -> Document:
        one, clock = found.one, self.facts.clock
        row = one.row
        process = self.facts.process(int(row["pid"]), int(row["start"]))
        closed = bool(row["closed_ns"])
        return {
            "listener_addr": address(bytes(row["addr"])),
            "listener_port": int(row["port"]),
            "listener_pid": process.pid if process else None,
            "listener_comm": process.comm if process else None,
            "listener_cookie": f"{int(row['cookie']):x}",
            "netns": int(row["netns"]),
            "holders": self._holders(row),
            "reuseport": bool(row["reuseport"]),
            "defer_accept": int(row["defer_accept"]),
            "fastopen": bool(row["fastopen"]),
            "accept_queue": None if closed else int(row["accept_queue"]),
            "accept_queue_peak": one.accept_queue_peak,
            "accept_queue_max": int(row["accept_queue_max"]),
            "max_set_by": max_set_by(row),
            "full_us": found.full_ns() // 1000,
            "syn_queue": None if closed else int(row["syn_queue"]),
            "syn_queue_peak": found.syn_queue_peak,
            "syn_queue_max": int(row["accept_queue_max"]),
            "finished": one.counted["finished"],
            "accepts": one.counted["accepts"],
            "reset_in_queue": one.counted["reset_in_queue"],
            "never_accepted": one.counted["never_accepted"],
            "overflows": one.counted["overflows"],
            "syn_drops": one.drops,
            "cookies_sent": one.counted["cookies_sent"],
            "opened": clock.iso(int(row["opened_ns"])) if row["opened_ns"] else None,
            "closed": clock.iso(int(row["closed_ns"])) if closed else None,
        }


def causes_of(counted: dict[str, int], drops: dict[str, int]) -> str:
    """What was dropped and why, and what else became of connections that nobody took."""
    parts = [f"{cause} {count}" for cause, count in drops.items()]
    if counted["cookies_sent"]:
        parts.append(f"cookies {counted['cookies_sent']}")
    for name in ("reset_in_queue", "never_accepted"):
        if counted[name]:
            parts.append(f"{name.replace('_', ' ')} {counted[name]}")
    return ", ".join(parts)


def max_set_by(row: np.void) -> str | None:
    """Which of the two binds: listen()'s backlog is cut down to somaxconn (net/socket.c)."""
    if not row["somaxconn"]:
        return None
    return "somaxconn" if row["accept_queue_max"] >= row["somaxconn"] else "listen"
