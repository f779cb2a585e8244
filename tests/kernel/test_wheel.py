"""The wheel runs where there is no compiler, no libbpf and no header.

It is installed into a fresh virtual environment on this machine with these hidden: in a mount
namespace, something empty lies upon each.
"""

from __future__ import annotations

import re
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from tests.harness import ROOT, Namespace, Tracer, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

OBJECTS = [f"{name}.bpf.{form}" for name in ("tcptrace", "tcptrace-old") for form in ("o", "json")]
pytestmark = pytest.mark.kernel

COUNT = 211
PYTHON = "/usr/bin/python3"
# whatever a name stands for, the file behind it is hidden: a link to it leads to nothing
BARE = """
set -e
for one in /usr/include /usr/src /usr/lib/llvm-*; do [ ! -d "$one" ] || echo "$one"; done |
    while read -r one; do mount --bind "$EMPTY" "$one"; done
for one in /usr/lib/*/libbpf* /usr/lib/*/libelf* /usr/bin/gcc-* /usr/bin/*-gcc-*; do
    [ ! -f "$one" ] || readlink -f "$one"
done | sort -u | while read -r one; do mount --bind /dev/null "$one"; done
exec "$@"
"""
WHAT_IS_HIDDEN = """
import ctypes, os, shutil
def loads(name):
    try:
        return bool(ctypes.CDLL(name))
    except OSError:
        return False
there = [name for name in ("libbpf.so.1", "libelf.so.1") if loads(name)]
print(there, [name for name in ("clang", "clang-14") if shutil.which(name)],
      os.listdir("/usr/include"))
"""
STATES = (
    *(("CLOSE", "SYN_SENT"), ("SYN_SENT", "ESTABLISHED"), ("LISTEN", "SYN_RECV")),
    *(("SYN_RECV", "ESTABLISHED"), ("ESTABLISHED", "FIN_WAIT1"), ("FIN_WAIT1", "FIN_WAIT2")),
    *(("FIN_WAIT2", "CLOSE"), ("ESTABLISHED", "CLOSE_WAIT"), ("CLOSE_WAIT", "LAST_ACK")),
    ("LAST_ACK", "CLOSE"),
)


@pytest.fixture(scope="module")
def wheel() -> Path:
    subprocess.run(["make", "wheel"], cwd=ROOT, check=True, capture_output=True)
    (made,) = (ROOT / "dist").glob("tcptrace-*.whl")
    return made


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a command begins with that is to run on the bare machine."""
    empty = tmp_path_factory.mktemp("empty")
    return ["env", f"EMPTY={empty}", "unshare", "--mount", "sh", "-c", BARE, "bare"]


@pytest.fixture(scope="module")
def installed(wheel: Path, bare: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment that the wheel was installed into."""
    home = tmp_path_factory.mktemp("installed")
    run([*bare, PYTHON, "-m", "venv", str(home)])
    pip = [*bare, str(home / "bin/pip"), "--disable-pip-version-check"]
    run([*pip, "install", "-q", str(wheel)])
    assert run([*pip, "check"]) == "No broken requirements found.\n"
    return home / "bin"


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_for_any_python_and_says_how_new_a_c_library_it_needs(wheel: Path) -> None:
    assert re.fullmatch(r"tcptrace-[\d.]+-py3-none-(manylinux_2_\d+_\w+\.?)+\.whl", wheel.name), (
        wheel.name
    )


def test_it_has_the_programs_and_the_libraries_with_their_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if re.match("tracer/_(bpf|carried)/", name)}
        notice = opened.read("tracer/_carried/NOTICE").decode()
    libraries = {"libbpf-tcptrace.so.1", "libelf-tcptrace.so.1", "libz-tcptrace.so.1"}
    found = {Path(name).name for name in names}
    assert found >= {*OBJECTS, "tcptrace.bcc.c"} | libraries
    assert found >= {"LICENSE.libbpf1", "LICENSE.libelf1", "LICENSE.zlib1g"}
    assert found >= {"LICENSE.GPL-2", "LICENSE.GPL-3", "LICENSE.LGPL-3"}
    for library, source in (("libbpf", "libbpf"), ("libelf", "elfutils"), ("libz", "zlib")):
        assert re.search(rf"^{library}-tcptrace\.so\.1: {source} \S+$", notice, re.MULTILINE)


def test_the_bare_machine_has_no_libbpf_no_clang_and_no_headers(bare: list[str]) -> None:
    assert run([*bare, PYTHON, "-c", WHAT_IS_HIDDEN]) == "[] [] []\n"


def test_it_says_that_the_libbpf_is_its_own(bare: list[str], installed: Path) -> None:
    """Where the machine has one, too."""
    for before in (bare, []):
        told = run([*before, str(installed / "tcptrace"), "--version"])
        assert str(installed.parent) in told
        assert re.search(r"libbpf v1\.\d+ of its own$", told), told


def test_all_that_it_loads_of_them_lies_in_it(bare: list[str], installed: Path) -> None:
    show = "from tracer.kernel.libbpf import lib; lib(); print(open('/proc/self/maps').read())"
    loaded = run([*bare, str(installed / "python"), "-c", show])
    paths = {line.split()[-1] for line in loaded.splitlines() if re.search(r"lib(bpf|elf)", line)}
    assert {Path(path).name for path in paths} == {"libbpf-tcptrace.so.1", "libelf-tcptrace.so.1"}
    assert all(path.startswith(str(installed.parent)) for path in paths), paths
    assert f"{installed.parent}" in next(
        line for line in loaded.splitlines() if line.endswith("libz-tcptrace.so.1")
    )


@pytest.mark.parametrize("arguments", ["--help", "doctor", "doctor --self-test"])
def test_commands_run(bare: list[str], installed: Path, arguments: str) -> None:
    said = run([*bare, str(installed / "tcptrace"), *arguments.split()])
    assert {"--help": "Usage:", "doctor": " of its own"}.get(arguments, "state ") in said


def test_it_traces_every_event_of_real_connections(
    ns: Namespace, bare: list[str], installed: Path
) -> None:
    command = [str(installed / "tcptrace")]
    with (
        server_in(ns) as server,
        Tracer("events", "--netns", ns.name, prefix=bare, command=command) as tracer,
    ):
        server.tell("serve", listener="l")
        with Program("caller", ns.enter) as caller:
            caller.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
        wait_until(
            lambda: Counter(r["kind"] for r in tracer.so_far())["connection"] == 2 * COUNT,
            "both ends of every connection",
        )
        records = tracer.stop()
        server.stop()
    assert ns.counters()["TcpActiveOpens"] == ns.counters()["TcpPassiveOpens"] == COUNT
    kinds = Counter(r["kind"] for r in records)
    assert (kinds["accept"], kinds["handshake"], kinds["connection"]) == (
        COUNT,
        2 * COUNT,
        2 * COUNT,
    )
    steps = Counter((r["old"], r["new"]) for r in records if r["kind"] == "state")
    assert steps == dict.fromkeys(STATES, COUNT)
    assert tracer.counts["lost"] == 0
