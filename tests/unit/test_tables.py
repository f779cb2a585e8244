"""Tables in every form: columns as asked for, rows in order, Markdown that a parser of GitHub's
kind reads back as it was."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from tracer.errors import UsageError
from tracer.views.look import Look
from tracer.views.tables import Column, Part, Table, render


class Pair(NamedTuple):
    name: str
    size: int | None


COLUMNS = (
    Column[Pair]("NAME", lambda row: row.name, words=True),
    Column[Pair]("SIZE", lambda row: row.size, lambda size: f"{size}B"),
    Column[Pair]("ACC/s", lambda row: row.size and row.size / 2, name="LAST RATE", spare=1),
)
ROWS = [Pair("b", 9), Pair("a", 10), Pair("d", None), Pair("c", 9)]
HOSTILE = [
    "a|b",
    "`x`",
    "``",
    "\\\\|",
    "<script>alert(1)</script>",
    "[click](http://evil.example)",
    "http://evil.example",
    "www.evil.example",
    "me@evil.example",
    "@somebody",
    "#1",
    "*bold* _it_ __b__ ~~s~~",
    "&lt;",
    "![i](x)",
    ":smile:",
    "| --- |",
    "$x$",
    "-",
    "> q",
    " `| ",
]


def names(look: Look) -> list[str]:
    return [row.name for row in look.rows(COLUMNS, ROWS, on_terminal=False)[0]]


def parsed(lines: list[str]) -> list[list[list[tuple[str, str]]]]:
    """Tables of a page, by an independent parser: rows of cells of (kind, text)."""
    tables: list[list[list[tuple[str, str]]]] = []
    for token in MarkdownIt("gfm-like").parse("\n".join(lines)):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables:
            children = [(child.type, child.content) for child in token.children or []]
            tables[-1][-1].append(children[0] if len(children) == 1 else ("", ""))
    return tables


@pytest.mark.parametrize(
    ("sort", "order"),
    [("", "badc"), ("SIZE", "abcd"), ("-size", "bcad"), ("name", "dcba"), ("-name", "abcd")],
)
def test_rows_come_biggest_first_ties_as_they_were_and_the_unknown_last(
    sort: str, order: str
) -> None:
    assert names(Look(sort=sort)) == list(order)


def test_the_order_is_settled_before_the_rows_are_cut() -> None:
    rows, more = Look(sort="size", limit=1).rows(COLUMNS, ROWS, on_terminal=False)
    assert [row.name for row in rows] == ["a"]
    assert more == ["... 3 more (--limit 0)"]


@pytest.mark.parametrize("spelt", ["last_rate", "last-rate", "Last Rate"])
def test_columns_come_in_the_order_given_by_title_or_name_however_spelt(spelt: str) -> None:
    look = Look(columns=(spelt, "Name"))
    table = Table(look.choose(COLUMNS), ROWS[:2])
    assert render([table], "table") == ["ACC/s NAME", "  4.5 b", "  5.0 a"]


@pytest.mark.parametrize(
    ("look", "cause", "hint"),
    [
        (Look(sort="sise"), "--sort: there is no column 'sise'", "did you mean size? one of: name"),
        (Look(columns=("zzz",)), "--columns: there is no column 'zzz'", "one of: name, size, last"),
        (Look("csv", columns=("NAME",)), "no column 'NAME'", "one of: member"),
        (Look("json", columns=("name",)), "JSON has members", "jq"),
        (Look("json", header=False), "--no-header has no use", "leave it out"),
        (Look("md", header=False), "--no-header has no use", "leave it out"),
    ],
)
def test_what_there_is_not_is_named_beside_what_there_is(look: Look, cause: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        look.check(COLUMNS, ("member",))
    assert cause in caught.value.message
    assert hint in caught.value.hint


def test_a_narrow_terminal_costs_columns_but_never_those_asked_for() -> None:
    rows = ROWS[:1]
    assert render([Table(COLUMNS, rows)], "table", 10) == ["NAME SIZE", "b      9B"]
    assert len(render([Table(COLUMNS, rows, fits=False)], "table", 10)[0]) > 10


def test_without_a_header_the_rows_are_the_same() -> None:
    table = Table(COLUMNS, ROWS)
    assert render([table], "table", header=False) == render([table], "table")[1:]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_cell_of_markdown_is_itself_and_nothing_else(name: str) -> None:
    lines = render(["before", Table(COLUMNS, [Pair(name, 1), Pair("next", 2)]), "after"], "md")
    (table,) = parsed(lines)
    assert [len(row) for row in table] == [3, 3, 3]
    kind, text = table[1][0]
    assert kind in ("text", "code_inline")
    assert text == (name if kind == "code_inline" else name.strip())
    assert table[2][0] == ("text", "next")


def test_lines_around_a_markdown_table_are_preformatted() -> None:
    parts: list[Part] = ["one *two*", Table(COLUMNS, ROWS[:1]), "| three", "`four`"]
    tokens = MarkdownIt("gfm-like").parse("\n".join(render(parts, "md")))
    code = [token.content for token in tokens if token.type == "code_block"]
    assert code == ["one *two*\n", "| three\n`four`\n"]
    assert sum(token.type == "table_open" for token in tokens) == 1


def test_numbers_stand_to_the_right_in_markdown_too() -> None:
    lines = render([Table(COLUMNS, ROWS[:1])], "md")
    assert lines == ["| NAME | SIZE | ACC/s |", "| --- | --: | --: |", "| b | 9B | 4.5 |"]


def test_every_column_of_a_table_is_called_by_one_name() -> None:
    from tracer.views import accept_table, drop_table, handshake_table, lines, listeners, states

    for columns in (
        (*states.PROCESS, *states.NUMBERS),
        accept_table.NUMBERS,
        handshake_table.NUMBERS,
        listeners.COLUMNS,
        drop_table.COLUMNS,
        lines.COLUMNS,
    ):
        keys = [column.key for column in columns]
        assert len(set(keys)) == len(keys)
