"""`counters`: the kernel's own counters that moved, how fast, and what each of them means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tracer.flows.counters import Moved, Moves
from tracer.views import counter_words as words
from tracer.views.columns import Facts
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.summary import Block, Document, SummaryView
from tracer.views.tables import Column, Part, Table, render
from tracer.views.text import duration, escape
from tracer.wire.counter import MACHINE, SOURCES, Key, Reading
from tracer.wire.head import Head

KEYS = ("netns", "dev", "queue", "cpu")
FULL = 0.9  # of a table with a limit: worth a look
FULL_OF = {"nf_conntrack_count": "nf_conntrack_max"}


@dataclass(frozen=True)
class Row:
    """One counter, or several added up. `delta` is None where it is not known how far it moved."""

    key: Key
    value: int | None
    delta: int | None
    rate: float | None
    trouble: bool

    @property
    def is_gauge(self) -> bool:
        """Whether it goes down as well as up."""
        return words.is_gauge(self.key.name)

    @property
    def meaning(self) -> str | None:
        """In a sentence."""
        return words.meaning(self.key.name, self.key.source)


def _delta(row: Row) -> str:
    if row.is_gauge or row.delta is None:
        return "-"
    return f"+{row.delta}" + (" !" if row.trouble else "")


def _value(row: Row) -> str:
    if row.value is None:
        return "-"
    return f"{row.value}" + (" !" if row.is_gauge and row.trouble else "")


def per_second(rate: float) -> str:
    """With three digits below 1000."""
    return f"{rate:.0f}" if rate >= 100 or rate == int(rate) else f"{rate:.3g}"


NAMES: tuple[Column[Row], ...] = (
    Column("COUNTER", lambda row: row.key.name, escape, words=True),
    Column("NETNS", lambda row: row.key.netns or None, spare=1),
    Column("DEV", lambda row: row.key.dev or None, escape, words=True),
    Column("QUEUE", lambda row: row.key.queue or None, words=True),
    Column("CPU", lambda row: row.key.cpu if row.key.cpu >= 0 else None),
)
NUMBERS: tuple[Column[Row], ...] = (
    Column("DELTA", lambda row: row.delta, text=_delta),
    Column("RATE/s", lambda row: row.rate, per_second),
    Column("VALUE", lambda row: row.value, text=_value, spare=2),
    Column("SOURCE", lambda row: row.key.source, words=True, spare=3),
)
MEANING: Column[Row] = Column("MEANING", lambda row: row.meaning, escape, words=True)
COLUMNS = (*NAMES, *NUMBERS, MEANING)


class CountersView(SummaryView):
    """Those that moved in each block; of one reading alone all that are not 0."""

    command = "counters"
    kind = "counter"

    def __init__(
        self,
        output: Output,
        notices: Notices,
        look: Look,
        by: Sequence[str] = (),
        devices: frozenset[str] = frozenset(),
        everything: bool = False,
    ) -> None:
        self._by = frozenset(by) or frozenset(KEYS)
        self._devices, self._everything = devices, everything
        self._moves = Moves()
        self._step = Moved()
        self._since = Moved()  # what the block that goes on is to show
        super().__init__(output, notices, look)

    def begin(self, facts: Facts, head: Head) -> None:
        """Before the first reading."""
        super().begin(facts, head)
        self._marks = 0

    def reading(self, reading: Reading) -> None:
        """Take one."""
        self._since.add(self._moves.look(reading))

    def show(self, now_ns: int, total: bool) -> None:
        """A block of what moved since the last one, or since the begin."""
        began = self._began_ns if total else self._since_ns
        self._show(Block(now_ns, now_ns - began, total, self._proof(total, now_ns - began)))
        if not total:
            self._marks += 1
            self._since_ns, self._since = now_ns, Moved()

    # --- forms ----------------------------------------------------------------

    def how(self) -> str:
        """Nothing is attached."""
        return "nothing attached"

    def shown(self) -> Sequence[Column[Row]]:
        """All columns."""
        return COLUMNS

    def parts(self, block: Block) -> list[Part]:
        """The table; what its counters mean, as a column or, where that is too narrow, below."""
        rows, more = self.chosen(self._rows(block.total))
        table = self.table(rows)
        if not self.look.columns:
            table = replace(table, columns=[c for c in table.columns if _tells(c, rows)])
        lines = [*more, *self._births(block.total)]
        if self.look.columns or self._fits(table):
            return [table, *lines]
        kept = [column for column in table.columns if column is not MEANING]
        meanings = {row.key.name: row.meaning for row in rows if row.meaning}
        told = [f"{escape(name)}: {text}" for name, text in meanings.items()]
        return [replace(table, columns=kept), *lines, *told]

    def _fits(self, table: Table[Row]) -> bool:
        width = self.output.width
        return not width or max(map(len, render([table], "table")), default=0) <= width

    def documents(self, block: Block) -> list[Document]:
        """A record for each."""
        return [self._document(row) for row in self.chosen(self._rows(block.total))[0]]

    def _document(self, row: Row) -> Document:
        key = row.key
        return {
            "source": key.source,
            "netns": key.netns or None,
            "dev": key.dev or None,
            "queue": key.queue or None,
            "cpu": key.cpu if key.cpu >= 0 else None,
            "name": key.name,
            "delta": None if row.is_gauge else row.delta,
            "rate": row.rate,
            "value": row.value,
            "gauge": row.is_gauge,
            "trouble": row.trouble,
            "meaning": row.meaning,
        }

    def columns(self) -> Sequence[str]:
        """The members of a record."""
        return (
            *("source", "netns", "dev", "queue", "cpu", "name", "delta", "rate", "value"),
            *("gauge", "trouble", "meaning"),
        )

    def _proof(self, total: bool, span_ns: int) -> str:
        reading = self._moves.now
        count = sum(map(self._is_asked, reading.values)) if reading else 0
        spaces = len(reading.moments) - (MACHINE in reading.moments) if reading else 0
        if not self._compares:
            return f"{count} counters of {spaces} netns, as they stand"
        moved = self._moved(total).deltas
        grew = sum(1 for key, delta in moved.items() if delta and self._grows(key))
        return f"{count} counters of {spaces} netns, {grew} moved in {duration(span_ns)}"

    def _births(self, total: bool) -> list[str]:
        moved = self._moved(total)
        told = []
        if moved.born:
            told.append(f"{len(moved.born)} netns began meanwhile: theirs count from 0")
        if moved.gone:
            what = "what they counted after the look before is not known"
            told.append(f"{len(moved.gone)} netns ended meanwhile: {what}")
        return told

    # --- rows -----------------------------------------------------------------

    @property
    def _compares(self) -> bool:
        """Whether there are two readings."""
        return bool(self._moves.whole.seconds)

    def _moved(self, total: bool) -> Moved:
        return self._moves.whole if total else self._since

    def _rows(self, total: bool) -> list[Row]:
        reading = self._moves.now
        if reading is None:
            return []
        moved = self._moved(total)
        grouped: dict[Key, list[Key]] = {}
        for key in {**reading.values, **moved.deltas}:
            if self._is_asked(key):
                grouped.setdefault(self._group(key), []).append(key)
        rows = [self._row(group, keys, reading, moved) for group, keys in grouped.items()]
        if not self._everything:
            rows = [row for row in rows if self._is_worth(row)]
        return sorted(rows, key=_rank)

    def _is_asked(self, key: Key) -> bool:
        if self._devices and key.dev not in self._devices:
            return False
        return not words.is_setting(key.name)

    def _grows(self, key: Key) -> bool:
        return self._is_asked(key) and not words.is_gauge(key.name)

    def _group(self, key: Key) -> Key:
        by = self._by
        return Key(
            key.source,
            key.netns if "netns" in by else MACHINE,
            key.dev if "dev" in by else "",
            key.queue if "queue" in by else "",
            key.cpu if "cpu" in by else -1,
            key.name,
        )

    def _row(self, group: Key, keys: list[Key], reading: Reading, moved: Moved) -> Row:
        values = [reading.values[key] for key in keys if key in reading.values]
        deltas = [moved.deltas.get(key) for key in keys]
        known = [delta for delta in deltas if delta is not None]
        gauge = words.is_gauge(group.name)
        delta = None if gauge or len(known) < len(deltas) else sum(known)
        rate = None
        if delta is not None:
            rate = sum(
                step / moved.seconds[key.netns]
                for key, step in zip(keys, known, strict=True)
                if moved.seconds.get(key.netns)
            )
        trouble = bool(delta) and words.is_trouble(group.name, group.source)
        return Row(
            group, sum(values) if values else None, delta, rate, trouble or _full(keys, reading)
        )

    def _is_worth(self, row: Row) -> bool:
        if not self._compares or row.is_gauge:
            return bool(row.value) and (row.key.name not in FULL_OF.values())
        return row.delta != 0


def _full(keys: Iterable[Key], reading: Reading) -> bool:
    """Whether one of them is near its limit."""
    for key in keys:
        limit = reading.values.get(key._replace(name=FULL_OF.get(key.name, "")))
        if limit and reading.values.get(key, 0) >= FULL * limit:
            return True
    return False


def _rank(row: Row) -> tuple[object, ...]:
    """What is wrong first, then what moved fastest, then as the sources come."""
    place = SOURCES.index(row.key.source) if row.key.source in SOURCES else len(SOURCES)
    return (not row.trouble, -(row.rate or 0.0), place, row.key)


def _tells(column: Column[Row], rows: Sequence[Row]) -> bool:
    """Whether a column that says where has anything to say."""
    if column.title == "NETNS":
        return len({row.key.netns for row in rows} - {MACHINE}) > 1
    return column not in NAMES[1:] or any(column.value(row) is not None for row in rows)
