"""Who may import whom, and what: the rooms of the architecture."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TRACER = Path(__file__).resolve().parents[2] / "tracer"

# room -> rooms it may use; the root modules are rooms of one file
ALLOWED = {
    "errors": set(),
    "words": {"words"},
    "wire": {"errors", "wire"},
    "probes": {"errors", "wire", "probes"},
    "flows": {"errors", "wire", "flows"},
    "attribution": {"errors", "wire", "attribution"},
    "advice": {"errors", "wire", "flows", "advice"},
    "views": {"errors", "wire", "words", "flows", "attribution", "advice", "views"},
    "explain": {"errors", "wire", "words", "views", "explain"},
    "kernel": {"errors", "wire", "probes", "kernel"},
    "player": {"errors", "wire", "flows", "attribution", "views"},
    "limits": set(),
    "rounds": {"limits"},
    "stacks": {"wire", "attribution", "kernel"},
    "told": {"wire", "attribution", "kernel"},
    "session": {
        *("errors", "wire", "flows", "attribution", "views", "kernel", "player", "limits"),
        *("stacks", "told"),
    },
    "snapshot": {"errors", "wire", "attribution", "views", "kernel", "player", "limits", "rounds"},
    "counting": {"errors", "wire", "attribution", "views", "kernel", "limits", "rounds"},
    "selftest": {"errors", "wire", "probes", "flows", "views", "kernel", "session", "selftest"},
    "diagnosis": {"errors", "kernel", "probes", "views"},
}
# package -> the rooms that may import it
PACKAGES = {
    "click": {"cli"},
    "rich": {"views", "cli"},
    "textual": {"views", "cli"},
    "elftools": {"wire", "attribution"},
    "bcc": {"kernel"},
    "ctypes": {"kernel"},
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


FILES = sorted(path for path in TRACER.rglob("*.py") if path.parent.name != "_bpf")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TRACER)))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    room = path.relative_to(TRACER).parts[0].removesuffix(".py")
    for name in _imports(path):
        first, _, rest = name.partition(".")
        assert first not in PACKAGES or room in PACKAGES[first], f"{room} imports {name}"
        if first == "tracer" and rest and room in ALLOWED:
            assert rest.split(".")[0] in ALLOWED[room], f"{room} imports {name}"


def test_every_room_has_its_rule() -> None:
    rooms = {path.relative_to(TRACER).parts[0].removesuffix(".py") for path in FILES}
    assert rooms - set(ALLOWED) == {"cli", "__init__", "__main__"}
