"""Terms of tcptrace's own: columns, members of records, and the words these are one of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tracer.explain.term import Term, gathered
from tracer.views import schema as schemas
from tracer.views.meanings import COLUMNS as HELPED
from tracer.words import causes, findings, outcomes, records, resets, ss
from tracer.words.columns import COLUMNS as PLAIN
from tracer.words.columns import KEYS
from tracer.words.entry import Entry

Told = dict[str, list[tuple[str, str]]]
# topic, the member whose words they are, the words
_WORDS: tuple[tuple[str, str, Mapping[str, Entry]], ...] = (
    ("handshake-outcomes", "outcome", outcomes.OUTCOMES),
    ("connection-ends", "end", outcomes.ENDS),
    ("connection-ends", "closed_by", outcomes.CLOSED_BY),
    ("syn-drop-causes", "cause", causes.CAUSES),
    ("drop-layers", "layer", records.LAYERS),
    ("reset-causes", "by", resets.BYS),
    ("findings", "id", findings.FINDINGS),
    ("record-kinds", "kind", records.KINDS),
    ("owner-kinds", "owner_is", records.OWNERS),
    ("owner-kinds", "owner_from", records.OWNER_FROM),
    ("loss-causes", "why", records.LOST),
    ("ss-columns", "", ss.SS),
    *(("member-values", member, words) for member, words in records.VALUES.items()),
)


def words() -> Iterator[Term]:
    """Words with sentences of their own."""
    for topic, member, entries in _WORDS:
        where = (member,) if member else ()
        kinds = tuple(
            kind for kind in schemas.KINDS if member in schemas.schema(kind)["properties"]
        )
        for name, entry in entries.items():
            if not entry.commands:
                entry = entry._replace(commands=_reading(kinds, member))
            yield Term(topic, name, entry, where=where, keys=(f"{member}.{name}",))


def steps() -> Iterator[Term]:
    """Ages and rates are told in steps."""
    for member in ("age", "rate"):
        says = schemas.schema("connection_summary")["properties"][member]
        for name in says["enum"]:
            if name is not None:
                meaning = f"a step of --by {member}: {says['description']}"
                command = f"tcptrace connections --open --by {member} -d 5"
                entry = Entry(meaning, commands=(command,))
                yield Term("member-values", name, entry, where=(member,))


def members() -> Iterator[Term]:
    """Every member of every kind of record, those within others too."""
    told: Told = {}
    for kind in schemas.KINDS:
        _members(kind, schemas.schema(kind), told)
    for name, places in told.items():
        where = tuple(dict.fromkeys(place.partition(".")[0] for place, _ in places))
        meaning = gathered(places)
        keys = tuple(f"{place.partition('.')[0]}.{name}" for place, _ in places)
        entry = Entry(meaning, commands=_reading(where, name))
        yield Term("members", name, entry, where=where, keys=keys)


def _members(kind: str, schema: Mapping[str, Any], told: Told) -> None:
    for name, says in schema.get("properties", {}).items():
        text = says.get("description") or records.MEMBERS.get(name, "")
        told.setdefault(name, []).append((kind, text))
        _members(f"{kind}.{name}", says.get("items", says), told)


def _reading(kinds: tuple[str, ...], name: str) -> tuple[str, ...]:
    """How to see it: of the first kind that has it."""
    if name == "kind" or kinds[0] not in records.KINDS:
        return ("tcptrace schema",)
    return records.KINDS[kinds[0]].commands[:1]


def columns() -> Iterator[Term]:
    """Those that --help explains, others, and keys of --by, which become columns."""
    told: Told = {}
    for tables in (HELPED, PLAIN):
        for table, titles in tables.items():
            for title, text in titles.items():
                told.setdefault(title, []).append((table, text))
    for key, text in _keys().items():
        if key.upper() not in told:
            told[key.upper()] = [("any table with --by", text)]
    for title, places in told.items():
        where = tuple(dict.fromkeys(place for place, _ in places))
        yield Term("columns", title, Entry(gathered(places), commands=_showing(where)), where=where)


def _keys() -> dict[str, str]:
    """Words of --by, by what the summaries' members of that name are."""
    found: dict[str, str] = {}
    for kind in schemas.KINDS:
        says = schemas.schema(kind)["properties"]
        if kind.endswith("_summary") or kind == "counter":
            for key in KEYS:
                if says.get(key, {}).get("description"):
                    found.setdefault(key, says[key]["description"])
    return found


def _showing(tables: tuple[str, ...]) -> tuple[str, ...]:
    shown = [table for table in tables if " " not in table]
    if not shown:
        return ("tcptrace",)
    return tuple(
        f"tcptrace {table}" + ("" if table == "doctor" else " -d 10") for table in shown[:3]
    )
