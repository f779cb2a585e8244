"""Where an address lies in a process, against the program's own account; and hostile files."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.programs.knocking import build_knock
from tracer.attribution import elf_functions, user_code
from tracer.attribution.elf_functions import Functions
from tracer.attribution.user_code import UserCode, parse

MAPS = b"""\
55d0c0000000-55d0c0001000 r--p 00000000 fe:01 1234                       /usr/bin/a b
55d0c0001000-55d0c0002000 r-xp 00001000 fe:01 1234                       /usr/bin/a b
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
7fff00000000-7fff00001000 r-xp 00000000 fe:01 99                         /gone (deleted)
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_knock(tmp_path_factory.mktemp("built") / "knock")


@contextmanager
def running(program: Path) -> Iterator[dict[str, int]]:
    """What it says of itself while it waits for a line."""
    command = [str(program), "127.0.0.1", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        yield json.loads(process.stdout.readline())
        process.stdin.close()


def start_of(pid: int) -> int:
    return user_code._start(Path(f"/proc/{pid}"))


def frame(pid: int, *addresses: int, start: int | None = None) -> list[str]:
    begun = start_of(pid) if start is None else start
    return UserCode().stacks(pid, begun, {7: list(addresses)})[7]


@pytest.mark.parametrize("flags", [(), ("-static",), ("-no-pie",), ("-static-pie",)], ids=" ".join)
def test_a_function_is_found_where_the_program_says_that_it_is(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    program = build_knock(tmp_path / "knock", *flags)
    with running(program) as said:
        for name in ("at_the_door", "knock_once", "go_around"):
            # called there: what is innermost is where it is, what called lies before
            found = frame(said["pid"], said[name], said[name] + 5)
            assert found == [f"{name}+0x0 ({program})", f"{name}+0x5 ({program})"]


def test_what_returns_behind_the_end_of_a_function_is_of_that_function(program: Path) -> None:
    with running(program) as said:
        begin = said["knock_once"]
        innermost, caller, *_ = frame(said["pid"], begin, begin)
    assert innermost == f"knock_once+0x0 ({program})"
    assert caller.startswith("at_the_door+0x")


def test_of_what_is_not_mapped_the_address_stays(program: Path) -> None:
    with running(program) as said:
        assert frame(said["pid"], 0x10) == ["0x10"]


def test_a_process_that_has_ended_or_is_another_by_now_has_addresses_alone(program: Path) -> None:
    with running(program) as said:
        pid, start = said["pid"], start_of(said["pid"])
        place = said["knock_once"]
        assert frame(pid, place, start=start + 1) == [f"{place:#x}"]
        assert UserCode().stacks(pid, start, {7: [place]}, visible=False) == {7: [f"{place:#x}"]}
    assert frame(pid, place, start=start) == [f"{place:#x}"]


def test_a_file_that_took_the_place_of_the_one_that_runs_is_not_read(
    program: Path, tmp_path: Path
) -> None:
    copy, other = build_knock(tmp_path / "copy"), build_knock(tmp_path / "other", "-O1")
    with running(copy) as said:
        other.rename(copy)
        (found,) = frame(said["pid"], said["knock_once"])
    assert found.startswith(f"{copy} (deleted)+0x")


def test_each_file_is_read_once_and_each_place_looked_up_once(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, looked_up = [], []

    class Counted(Functions):
        def __init__(self, fd: int) -> None:
            read.append(fd)
            super().__init__(fd)

        def find(self, offset: int) -> tuple[str, int] | None:
            looked_up.append(offset)
            return super().find(offset)

    monkeypatch.setattr(user_code, "Functions", Counted)
    code = UserCode()
    with running(program) as said:
        pid, place = said["pid"], said["knock_once"]
        for number in range(5):
            code.stacks(pid, start_of(pid), {number: [place] * 3})
    assert len(read) == 1
    assert len(looked_up) == len(set(looked_up)) == 2  # as what is innermost, and as a caller


def test_what_is_kept_of_files_is_bounded(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_code, "MOST_WEIGHT", 1)
    other = build_knock(tmp_path / "other")
    code = UserCode()
    for one in (program, other, program):
        with running(one) as said:
            pid = said["pid"]
            (found,) = code.stacks(pid, start_of(pid), {1: [said["go_around"]]})[1]
            assert found == f"go_around+0x0 ({one})"
            assert len(code._files) == 1


def test_a_file_that_never_answers_is_waited_for_once(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def never(self: UserCode, path: bytes, inode: int) -> Any:
        asked.append(path)
        os.read(silent, 1)

    silent, end = os.pipe()
    monkeypatch.setattr(user_code, "PATIENCE_S", 0.01)
    monkeypatch.setattr(UserCode, "_read", never)
    code = UserCode()
    for number in range(3):  # each process has it mapped elsewhere
        with running(program) as said:
            pid, place = said["pid"], said["go_around"]
            (found,) = code.stacks(pid, start_of(pid), {number: [place]})[number]
            assert found.startswith(f"{program}+0x")
    os.close(end)
    assert len(asked) == 1


def test_maps_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    assert [(m.offset, m.inode, m.path) for m in parse(MAPS)] == [
        (0x1000, 1234, b"/usr/bin/a b"),
        (0, 0, b""),
        (0, 0, b"[vdso]"),
        (0, 99, b"/gone (deleted)"),
    ]
    process = tmp_path / "42"
    process.mkdir()
    (process / "maps").write_bytes(MAPS)
    (process / "stat").write_text("42 (a) b) S " + " ".join(map(str, range(4, 53))))
    stack = [0x55D0C0001010, 0x55D0C0000FFF, 0x7F0000000010, 0x7FFD00000011, 0x7FFF00000021]
    assert UserCode(tmp_path).stacks(42, 22, {1: stack})[1] == [
        "/usr/bin/a b+0x1010",
        "0x55d0c0000fff",
        "0x7f0000000010",
        "[vdso]+0x11",
        "/gone (deleted)+0x21",
    ]


# --- files that were made to do harm ---------------------------------------------------


def functions(path: Path) -> Functions | None:
    fd = os.open(path, os.O_PATH)
    try:
        return user_code._functions(fd)
    finally:
        os.close(fd)


@pytest.fixture(scope="module")
def bytes_of(program: Path) -> bytes:
    return program.read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 15), st.binary(min_size=1, max_size=8))))
def test_a_damaged_file_only_means_that_nothing_is_known(
    bytes_of: bytes, tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(bytes_of)
    for at, new in changes:
        # half of them where all begins: in the header of the file and those of its segments
        at = at % 1024 if at & 1 else at % len(damaged)
        damaged[at : at + len(new)] = new
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    found = functions(path)
    for offset in range(0, len(damaged), 4001):
        assert found is None or found.find(offset) is None or found.find(offset)


@pytest.mark.parametrize("length", [0, 3, 16, 63, 64, 4096])
def test_a_file_that_is_cut_off_is_no_error(bytes_of: bytes, tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut"
    path.write_bytes(bytes_of[:length])
    found = functions(path)
    assert found is None or found.find(0x1100) is None


def test_a_file_that_claims_more_headers_than_anyone_has_is_left_alone(
    bytes_of: bytes, tmp_path: Path
) -> None:
    # e_shnum 0: the number is in the first header's size
    made = bytearray(bytes_of)
    (table,) = struct.unpack_from("<Q", made, 40)
    made[60:62] = b"\0\0"
    struct.pack_into("<Q", made, table + 32, 1 << 60)
    path = tmp_path / "many"
    path.write_bytes(made)
    assert functions(path) is None


def test_of_a_table_that_is_too_large_what_is_exported_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = build_knock(tmp_path / "exporting", "-rdynamic", "-static-libgcc")
    with program.open("rb") as file:
        whole: Any = ELFFile(file).get_section_by_name(".symtab")
        monkeypatch.setattr(elf_functions, "MOST_BYTES", whole["sh_size"] - 1)
    with running(program) as said:
        exported, own = frame(said["pid"], said["knock_once"], said["at_the_door"] + 5)
    assert exported == f"knock_once+0x0 ({program})"
    assert own.startswith(f"{program}+0x")


def test_a_name_is_cut_and_of_several_the_plainest_is_told() -> None:
    form = [("name", "<u4"), ("value", "<u8"), ("size", "<u8")]
    symbols = np.array([(0, 16, 8), (7, 16, 8), (14, 16, 8), (20, 32, 8)], form)
    names = b"__send\0_asend\0send0\0" + b"x" * 10_000
    assert elf_functions._find(symbols, names, 20) == ("send0", 4)
    assert elf_functions._find(symbols, names, 24) is None  # behind its end
    assert elf_functions._find(symbols, names, 33) == ("x" * elf_functions.LONGEST_NAME, 1)
