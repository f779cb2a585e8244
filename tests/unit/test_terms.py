"""Every name that is printed is explained: the names are taken from what prints them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from errno import errorcode
from pathlib import Path
from typing import Any

import click
import pytest

from tests.unit.test_meanings import TITLES
from tracer import cli, views
from tracer.advice import dropped_here, failed_connects
from tracer.advice.rules import RULES
from tracer.cli import looking, setup
from tracer.cli.explain import _kernel
from tracer.cli.grammar import build
from tracer.explain.glossary import lookup, plain, terms
from tracer.explain.term import NO_SENTENCE, Term
from tracer.kernel import netstat
from tracer.views import counter_words
from tracer.views.live.panes import base as panes
from tracer.views.schema import KINDS, schema
from tracer.views.tables import Column, Heading
from tracer.wire.layout import Layout
from tracer.words.columns import COLUMNS, KEYS
from tracer.words.topics import TOPICS

TRACER = Path(cli.__file__).parent.parent
SETTINGS = Path("/proc/sys")
# of these all four parts are told: meaning, cause, what to look at, what to type
WHOLE = ("states", "errnos", "handshake-outcomes", "syn-drop-causes")


def of(topic: str) -> dict[str, Term]:
    return {term.name: term for term in terms(topic, _kernel)}


# --- names of the kernel ----------------------------------------------------------


def test_every_state_has_the_kernels_number(wire: Layout) -> None:
    numbers = {name: value for name, value in wire.enums["tcp_state"].items() if value}
    assert {name: term.number for name, term in of("states").items()} == numbers


def test_every_reason_of_the_running_kernel_has_a_sentence() -> None:
    kernel = _kernel()
    assert len(kernel.drop_reasons) > 100
    for topic, names in (
        ("drop-reasons", kernel.drop_reasons),
        ("reset-reasons", [name for name in kernel.reset_reasons if name != "MAX"]),
    ):
        told = of(topic)
        assert [n for n in names if told[n].entry.meaning == NO_SENTENCE] == []


def test_every_counter_with_a_sentence_is_found_and_so_are_those_beside_our_tables() -> None:
    known = of("counter-names")
    assert set(known) == set(counter_words.meanings())
    witnesses = [name for names in netstat.COUNTERS.values() for name in names]
    assert [n for n in (*known, *witnesses) if not lookup(n, "counter-names")] == []


def test_every_line_of_netstat_is_of_a_counter_that_has_a_sentence() -> None:
    assert [
        name for name, term in of("netstat-lines").items() if "None" in term.entry.meaning
    ] == []


def _strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _all_strings() -> list[str]:
    return [text for path in TRACER.rglob("*.py") for text in _strings(path)]


def test_every_errno_that_is_named_anywhere_is_explained() -> None:
    named = {word for text in _all_strings() for word in re.findall(r"\bE[A-Z]{2,}\b", text)}
    known = {spelling for term in terms("errnos") for spelling in (term.name, *term.entry.also)}
    assert named & {*errorcode.values(), "EWOULDBLOCK"} <= known


def test_every_setting_that_is_named_in_a_sentence_is_explained() -> None:
    """By its whole name, or by one that the kernel has a file for."""
    files = {
        path.name
        for folder in ("net/ipv4", "net/core")
        for path in (SETTINGS / folder).iterdir()
        if path.is_file() and "_" in path.name
    }
    texts = [
        *_all_strings(),
        *(meaning for meaning, _ in counter_words.meanings().values()),
        (TRACER.parent / "README.md").read_text(),
    ]
    named = set()
    for text in texts:
        named |= set(re.findall(r"\bnet\.(?:ipv4|ipv6|core|netfilter)\.[a-z_0-9.]*[a-z0-9]", text))
        named |= {word for word in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", text) if word in files}
    assert len(named) > 30
    assert sorted(name for name in named if not lookup(name, "sysctls")) == []


# --- names of ours ----------------------------------------------------------------


def _enums(member: str, says: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for value in says.get("enum", ()):
        if isinstance(value, str):
            yield member, value
    for name, inner in says.get("properties", {}).items():
        yield from _enums(name, inner)
    if "items" in says:
        yield from _enums(member, says["items"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_record_its_members_and_their_words_are_explained(kind: str) -> None:
    assert lookup(kind, "record-kinds")
    members, says = of("members"), schema(kind)
    assert [name for name in says["properties"] if not members[name].entry.meaning] == []
    for member, word in _enums("", says):
        if member != "topic":
            found = lookup(word)
            assert any(member in t.where or t.topic == "states" for t in found), (member, word)


def test_every_rule_of_advise_is_explained_and_every_number_it_stands_on() -> None:
    found = of("findings")
    assert set(found) == {rule.name for rule in RULES}
    for name, term in found.items():
        entry = term.entry
        assert all((entry.cause, entry.look, len(entry.commands) > 1)), name
    members = of("members")
    named = set(_numbers())
    assert len(named) > 80
    assert sorted(name for name in named if "finding" not in members[name].where) == []


def _numbers() -> Iterator[str]:
    """What rules put into `numbers`: keys of the dicts that are written there."""
    yield from (*failed_connects.FAILURES, *dropped_here.WORDS)
    for path in (TRACER / "advice").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            targets = [getattr(node, "target", None), *getattr(node, "targets", ())]
            if any(getattr(target, "id", "") == "numbers" for target in targets):
                for part in ast.walk(node):
                    if isinstance(part, ast.Dict):
                        yield from (str(ast.literal_eval(key)) for key in part.keys if key)


def test_no_member_is_explained_by_nothing_but_its_place() -> None:
    for name, term in of("members").items():
        for line in term.entry.meaning.splitlines():
            assert not line.endswith(": "), name


def test_every_topic_is_listed_has_terms_and_is_no_term_itself() -> None:
    assert {term.topic for term in terms()} == set(TOPICS)
    assert set(schema("term")["properties"]["topic"]["enum"]) == set(TOPICS)
    assert [topic for topic in TOPICS if lookup(topic)] == []


# --- columns ----------------------------------------------------------------------


def _objects(found: object) -> Iterator[str]:
    if isinstance(found, (Column, Heading)):
        yield found.title
    elif isinstance(found, panes.Column):
        yield found.heading.title
    elif isinstance(found, (tuple, list)):
        for one in found:
            yield from _objects(one)
    elif isinstance(found, dict):
        yield from _objects(list(found.values()))


def _literals(path: Path) -> Iterator[str]:
    """What is given as `title` to what makes a column, or to a function of the file's that does."""
    tree = ast.parse(path.read_text())
    places = {"Column": 0, "Heading": 0}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            names = [argument.arg for argument in node.args.args]
            places |= {node.name: names.index("title")} if "title" in names else {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.value if isinstance(node.func, ast.Subscript) else node.func
            place = places.get(getattr(called, "id", ""))
            if place is not None and len(node.args) > place:
                given = node.args[place]
                if isinstance(given, ast.Constant) and isinstance(given.value, str):
                    yield given.value


def titles() -> set[str]:
    """Of every table there is, the screen's too."""
    found: set[str] = set()
    for module in pkgutil.walk_packages(views.__path__, "tracer.views."):
        loaded = importlib.import_module(module.name)
        for value in vars(loaded).values():
            found |= set(_objects(value))
        found |= set(_literals(Path(str(loaded.__file__))))
    return found - {""}


def keys() -> set[str]:
    """Words of --by of every command."""
    found = set()
    for command in build().commands.values():
        for option in command.params:
            if isinstance(option, click.Option) and option.name == "by":
                text = str(option.help).partition("Rows by ")[2].partition(" (")[0]
                found |= {word.partition("[")[0] for word in text.split(", ")}
    return found


def test_every_heading_of_every_table_is_explained() -> None:
    found = titles()
    assert len(found) > 90
    assert sorted(title for title in found if not lookup(title, "columns")) == []


def test_every_key_that_rows_can_be_put_together_by_is_explained() -> None:
    found = keys()
    assert found == set(KEYS)
    assert sorted(key for key in found if not lookup(key.upper(), "columns")) == []


@pytest.mark.parametrize("command", TITLES)
def test_a_column_is_explained_as_its_own_table_means_it(command: str) -> None:
    told = of("columns")
    silent = [
        t for t in TITLES[command] if command not in told[t].where and not lookup(t, "states")
    ]
    assert silent == []


def test_no_column_is_explained_that_is_not_there() -> None:
    there = {plain(title) for title in titles()} | {plain(key) for key in keys()}
    there |= {plain(name) for name in (*of("states"), "ESTAB", "CONTAINER")}
    named = {title for table in COLUMNS.values() for title in table}
    assert sorted(title for title in named if plain(title) not in there) == []


# --- what is said -----------------------------------------------------------------


def test_what_is_told_is_plain_ascii_in_short_sentences() -> None:
    for term in terms(ask=_kernel):
        entry = term.entry
        assert entry.meaning, term
        assert entry.commands, term
        for text in (entry.meaning, entry.cause, entry.look, entry.source, *entry.commands):
            assert text.isascii(), term
            assert not text.endswith("."), term
        assert len(entry.cause) < 300 > len(entry.look), term


def test_what_tells_of_trouble_is_told_with_its_cause_but_for_mptcp() -> None:
    """A drop in which something is lost has at least a layer to look at."""
    told = of("counter-names")
    trouble = [name for name, (_, wrong) in counter_words.meanings().items() if wrong]
    assert [n for n in trouble if not told[n].entry.cause and n[:4] not in ("MPTc", "Icmp")] == []
    assert [name for name, term in of("drop-reasons").items() if not term.entry.look] == []


@pytest.mark.parametrize("topic", WHOLE)
def test_what_most_ask_for_is_told_with_cause_next_step_and_command(topic: str) -> None:
    for name, term in of(topic).items():
        entry = term.entry
        assert entry.cause, name
        assert entry.look, name
        assert entry.commands, name


def commands() -> list[str]:
    found = {line for term in terms(ask=_kernel) for line in term.entry.commands}
    return sorted(line for line in found if line.partition(" ")[0] == "tcptrace")


@pytest.mark.parametrize("line", commands())
def test_every_command_of_ours_that_is_told_is_one(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read to where it would trace."""
    for place, name in ((setup.Command, "run"), (looking, "look"), (looking, "count")):
        monkeypatch.setattr(place, name, lambda *given: None)
    words = shlex.split(line)[1:]
    if words[:1] == ["doctor"]:
        words.append("--help")
    assert cli.run(words) == 0, capsys.readouterr().err
