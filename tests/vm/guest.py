"""One guest: boot a kernel, run the tests in it, and end it when it hangs.

The guest shares the machine's root file system, read-only. What runs would be read through it again
each time, one small request after the other, so programs, their libraries, Python's modules and
this tree go in as one archive, into the guest's memory. Results come out line by line, so that
those of a guest that hung are there.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import ROOT
from tests.vm.packages import BUILD, Kernel, image, release

LIMIT_S = 1800
WORKERS = (0, 1)  # of inside.sh
VNG = BUILD / "venv/bin/vng"
SHARED = "/tmp/tcptrace-guest"  # the guest's own /tmp: the machine's is not written to
TREE = ("tracer", "tests", "bpf")
PROGRAMS = (
    *(sys.executable, "ip", "ss", "tc", "nft", "bpftool", "sysctl"),
    *("dash", "cat", "taskset", "mount", "umount", "env"),
)
LATE_LIBRARIES = ("libbpf.so.1", "libnftables.so.1")  # loaded once a program runs
# what no test in a guest needs, and what would fill its memory
LEFT_OUT = {
    *("build", "test", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo", "pydoc_data"),
    *("mypy", "mypyc", "ruff", "pip", "setuptools", "hypothesis", "__pycache__.old", ".git"),
}


@dataclass
class Outcome:
    """What came of one guest: `died` is empty, or why it ended before its tests did."""

    kernel: Kernel
    release: str
    seconds: float
    died: str = ""
    rungs: list[dict[str, Any]] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)


def try_kernel(kernel: Kernel, arguments: list[str], limit: float = LIMIT_S) -> Outcome:
    """Boot it, run the tests with these arguments to pytest, read what they left."""
    try:
        vmlinuz = image(kernel)
    except RuntimeError as error:
        return Outcome(kernel, "not there", 0, str(error))
    shared = BUILD / "shared" / kernel.line
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    _pack(shared)
    (shared / "job.json").write_text(json.dumps(_job(kernel, arguments)))
    shutil.copy(Path(__file__).with_name("inside.sh"), shared)
    began = time.monotonic()
    died = _boot(vmlinuz, shared, limit)
    (shared / "tree.tar").unlink()
    outcome = Outcome(kernel, release(vmlinuz), time.monotonic() - began, died)
    outcome.rungs = _lines(shared / "rungs.jsonl")
    outcome.tests = [test for n in WORKERS for test in _lines(shared / f"tests-{n}.jsonl")]
    if not died and not all((shared / f"done-{n}").exists() for n in WORKERS):
        outcome.died = f"it ended early: see {shared}/console and {shared}/log*"
    return outcome


def _job(kernel: Kernel, arguments: list[str]) -> dict[str, Any]:
    """What pytest is told: to read only files with marked tests, as reading is slow there."""
    given = [word for word in arguments if Path(word.partition("::")[0]).exists()]
    files = sorted((ROOT / "tests/kernel").glob("test_*.py"))
    marked = [f"tests/kernel/{file.name}" for file in files if "mark.guest" in file.read_text()]
    options = [word for word in arguments if word not in given]
    return {"arguments": options, "files": given or marked, "cannot": kernel.cannot}


def _boot(vmlinuz: Path, shared: Path, limit: float) -> str:
    command: list[str | Path] = [VNG, "--verbose", "-r", vmlinuz]
    command += ["--disable-kvm", "--force-9p", "--memory", "2G", "--cpus", "2"]
    command += [f"--rwdir={SHARED}={shared}", "--"]
    modules = vmlinuz.parent.parent / "lib/modules"
    command += [
        "sh",
        f"{SHARED}/inside.sh",
        SHARED,
        str(ROOT),
        sys.executable,
        modules,
    ]
    path = f"{VNG.parent}:{os.environ['PATH']}"
    with (shared / "console").open("w") as console:
        guest = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
        try:
            guest.wait(limit)
        except subprocess.TimeoutExpired:
            return f"it hung: ended after {limit:.0f} s, see {shared}/console and {shared}/log*"
        finally:
            # its own session: vng, what it started, and QEMU
            if guest.poll() is None:
                os.killpg(guest.pid, signal.SIGKILL)
                guest.wait()
    return ""


def _going_in() -> list[str]:
    """Python's own modules, those of this environment, this tree, programs and their libraries."""
    modules = [sysconfig.get_path("stdlib"), sysconfig.get_path("platlib")]
    folders = [*(os.path.realpath(folder) for folder in modules), *(str(ROOT / n) for n in TREE)]
    found = [path for name in PROGRAMS if (path := shutil.which(name))]
    found += [str(file) for name in LATE_LIBRARIES for file in Path("/usr/lib").glob(f"*/{name}")]
    modules = [str(file) for folder in folders[:2] for file in Path(folder).rglob("*.so")]
    said = subprocess.run(["ldd", *found, *modules], capture_output=True, text=True).stdout
    found += re.findall(r"(/\S+) \(0x", said)
    files = dict.fromkeys(os.path.realpath(path) for path in found)
    return [*folders, *(f for f in files if not any(f.startswith(f"{g}/") for g in folders))]


def _pack(shared: Path) -> None:
    """The archive, and where what is in it belongs."""
    paths = _going_in()
    (shared / "fstab").write_text("".join(f"/run/tree{p} {p} none bind 0 0\n" for p in paths))
    with tarfile.open(shared / "tree.tar", "w") as tar:
        for path in paths:
            tar.add(path, path[1:], filter=_wanted)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if LEFT_OUT & set(parts[-1:]) or ("tests" in parts and "numpy" in parts):
        return None
    return None if "__mypyc." in entry.name else entry


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
