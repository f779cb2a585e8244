"""empty.bpf.c: programs that do nothing, attached inside a `with` block."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench import programs
from tracer.kernel import tracefs
from tracer.kernel.libbpf import check, check_pointer, lib, program_info

EMPTY = "tt_empty"
FLOOR = ("tt_floor", "tt_floor_nested", "tt_floor_accept")


class Empties:
    """Those of these names; the others are loaded alone."""

    def __init__(self, *names: str) -> None:
        path: Path = programs.empty()
        self._names = names
        self._object = check_pointer(
            lib().bpf_object__open_file(os.fsencode(path), None), f"cannot open {path}"
        )
        self._links: list[int] = []

    def __enter__(self) -> Empties:
        check(lib().bpf_object__load(self._object), "cannot load the empty programs")
        tracefs.reach(self._attach)
        return self

    def _attach(self) -> None:
        for name in self._names:
            link = lib().bpf_program__attach(self._find(name))
            self._links.append(check_pointer(link, f"cannot attach {name}"))

    def _find(self, name: str) -> int:
        found: int = lib().bpf_object__find_program_by_name(self._object, name.encode())
        return check_pointer(found, f"no program {name}")

    def cost_ns(self, name: str) -> float:
        """Mean of its runs while statistics were on."""
        info = program_info(check(lib().bpf_program__fd(self._find(name)), name))
        assert info.run_cnt, f"{name} has not run with statistics on"
        return float(info.run_time_ns / info.run_cnt)

    def __exit__(self, *_: object) -> None:
        for link in self._links:
            lib().bpf_link__destroy(link)
        lib().bpf_object__close(self._object)
