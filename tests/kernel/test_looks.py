"""--sort, --columns, --no-header and -f md: the same facts in another look, live and replayed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.harness import COMMAND, ROOT, Namespace, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

pytestmark = pytest.mark.kernel

COMMANDS = ("states", "handshakes", "accepts", "listeners")
SMALL, LARGE = 3, 17
HOSTILE = "x|`[a](b)"


@pytest.fixture(scope="module")
def room() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def converse(room: Namespace) -> None:
    """Two clients of one server: one with a hostile name and few connections, one with many."""
    with server_in(room) as server:
        server.tell("serve", listener="l")
        for name, count in ((HOSTILE, SMALL), ("many", LARGE)):
            with Program(name, room.enter) as caller:
                caller.do("call", address=ADDRESS, port=PORT, count=count, half=True)
        server.stop()


@pytest.fixture(scope="module")
def kept(room: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "a.rec"
    with Tracer("record", str(path), "--kind", "all", "--netns", room.name, json=False):
        converse(room)
    return path


def show(kept: Path, *arguments: str) -> str:
    line = [*COMMAND, *arguments, "-r", str(kept)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout


def tables(text: str) -> list[list[list[str]]]:
    """Cells of all tables of a page in Markdown, as a parser of GitHub's kind reads them."""
    found: list[list[list[str]]] = []
    for token in MarkdownIt("gfm-like").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found:
            children = token.children or []
            assert {child.type for child in children} <= {"text", "code_inline"}
            found[-1][-1].append("".join(child.content for child in children))
    return found


def opened(records: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(r["comm"], r["opened"]) for r in records if r["comm"] in (HOSTILE, "many")]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("OPENED", [("many", LARGE), (HOSTILE, SMALL)]),
        ("-opened", [(HOSTILE, SMALL), ("many", LARGE)]),
    ],
)
def test_sorted_by_opened_the_order_is_that_of_the_callers_counts(
    kept: Path, sort: str, order: list[tuple[str, int]]
) -> None:
    lines = show(kept, "states", "-j", "--sort", sort).splitlines()
    assert opened([r for r in map(json.loads, lines) if r["kind"] == "state_summary"]) == order
    rows = list(csv.DictReader(io.StringIO(show(kept, "states", "-f", "csv", "--sort", sort))))
    assert [int(row["opened"]) for row in rows if row["opened"] in (str(SMALL), str(LARGE))] == [
        count for _, count in order
    ]


def test_a_table_of_two_columns_has_these_in_the_order_given(kept: Path) -> None:
    text = show(kept, "states", "--columns", "opened,PROCESS", "--sort", "opened")
    _, header, *rest = text.splitlines()
    assert header == "OPENED PROCESS"
    assert [line for line in rest[:3] if "server" not in line] == [
        f"{LARGE:6} (exited) many",
        f"{SMALL:6} (exited) {HOSTILE}",
    ]


def test_csv_of_two_members_has_these_alone(kept: Path) -> None:
    text = show(kept, "events", "-f", "csv", "--kind", "handshake", "--columns", "comm,role")
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["comm", "role"]
    assert rows.count(["many", "active"]) == LARGE
    assert rows.count([HOSTILE, "active"]) == SMALL


@pytest.mark.parametrize("command", [*COMMANDS, "events"])
def test_without_a_header_all_else_stays(kept: Path, command: str) -> None:
    for form in ("table", "csv"):
        whole = show(kept, command, "-f", form).splitlines()
        bare = show(kept, command, "-f", form, "--no-header").splitlines()
        assert [line for line in whole if line in bare] == bare
        left_out = [line for line in whole if line not in bare]
        assert len(left_out) == (2 if (command, form) == ("states", "table") else 1)


@pytest.mark.parametrize("command", [*COMMANDS, "events"])
def test_markdown_has_the_cells_of_the_table_to_a_parser_of_its_kind(
    kept: Path, command: str
) -> None:
    first, *_ = tables(show(kept, command, "-f", "md"))
    plain = show(kept, command).splitlines()
    assert "".join(first[0]).replace(" ", "") == plain[1].replace(" ", "")
    assert {len(row) for row in first} == {len(first[0])}
    for row, line in zip(first[1:], plain[2:], strict=False):
        assert "".join(row).replace(" ", "") == line.replace(" ", "")


def test_a_hostile_name_is_a_cell_of_markdown_like_any_other(kept: Path) -> None:
    first, *_ = tables(show(kept, "states", "-f", "md", "--sort", "opened"))
    names = [row[first[0].index("PROCESS")] for row in first[1:]]
    assert sum(name.endswith(HOSTILE) for name in names) == 1


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "look", ["-f md", "--no-header --limit 1", "-f csv --limit 1"], ids=["md", "bare", "csv"]
)
def test_a_recording_prints_in_a_look_what_its_run_printed_in_it(
    room: Namespace, tmp_path: Path, command: str, look: str
) -> None:
    path = tmp_path / "a.rec"
    line = [command, *look.split(), "--netns", room.name, "-w", str(path)]
    with Tracer(*line, json=False) as tracer:
        converse(room)
    assert show(path, command, *look.split()) == tracer.stdout != ""
