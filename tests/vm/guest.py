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
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.harness import ROOT
from tests.vm.packages import BUILD, GoneError, Kernel, headers, image, release

LIMIT_S = 1800
LOOK_S = 10
# QEMU's emulation (7.2) may run on with an instruction that the guest's other CPU has replaced, as
# kernels do at each tracepoint that programs come to and go from: a CPU then stands still for good,
# or meets the trap that stood there meanwhile
STUCK = "watchdog: BUG: soft lockup"
OFTEN = 3  # each is told again after half a minute; one may pass, where this machine is busy
TRAPPED = "Oops: int3:"
TRIES = 2
WORKERS = (0, 1)  # of inside.sh
VNG = BUILD / "venv/bin/vng"
SHARED = "/tmp/tcptrace-guest"  # the guest's own /tmp: the machine's is not written to
TREE = ("tracer", "tests", "bpf")
PROGRAMS = (
    *(sys.executable, "ip", "ss", "tc", "nft", "bpftool", "sysctl"),
    *("dash", "cat", "taskset", "mount", "umount", "env"),
)
# where the BCC back end is tried: 250 MB of LLVM, and headers in thousands of small files
OF_BCC = "test_bcc_headers.py"
BCC_PYTHON, BCC_LIBRARY = "/usr/lib/python3/dist-packages/bcc", "libbcc.so.0"
LATE_LIBRARIES = ("libbpf.so.1", "libnftables.so.1")  # loaded once a program runs
# what no test in a guest needs, and what would fill its memory
LEFT_OUT = {
    *("build", "test", "idlelib", "ensurepip", "lib2to3", "tkinter", "turtledemo", "pydoc_data"),
    *("mypy", "mypyc", "ruff", "pip", "setuptools", "hypothesis", "__pycache__.old", ".git"),
}


@dataclass
class Outcome:
    """What came of one guest: `died` is empty, or why it ended before its tests did.

    `missing` is empty, or why there is no such kernel to be had. `doctor` is what that finds of
    each subject there.
    """

    kernel: Kernel
    release: str
    seconds: float
    died: str = ""
    missing: str = ""
    rungs: list[dict[str, Any]] = field(default_factory=list)
    doctor: list[dict[str, Any]] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)


def try_kernel(kernel: Kernel, arguments: list[str], limit: float = LIMIT_S) -> Outcome:
    """Boot it, run the tests with these arguments to pytest, read what they left."""
    job = _job(kernel, arguments)
    with_bcc = any(OF_BCC in word for word in job["files"])
    try:
        vmlinuz = image(kernel)
    except GoneError as error:
        return Outcome(kernel, "not there", 0, missing=str(error))
    except RuntimeError as error:
        return Outcome(kernel, "not there", 0, died=f"it could not be fetched: {error}")
    try:
        sources = headers(kernel, vmlinuz) if with_bcc else None
    except RuntimeError as error:  # a kernel that is there has to be tested
        return Outcome(kernel, release(vmlinuz), 0, died=f"no headers: {error}")
    shared = BUILD / "shared" / kernel.line
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir(parents=True)
    _pack(shared, sources)
    (shared / "job.json").write_text(json.dumps(job))
    shutil.copy(Path(__file__).with_name("inside.sh"), shared)
    for _ in range(TRIES):
        began = time.monotonic()
        died = _boot(vmlinuz, shared, limit)
        if not _fault(shared):
            break
        print(f"{kernel.line}: {died}", file=sys.stderr)
        shutil.copy(shared / "console", shared.with_suffix(".stuck"))
        for made in (*shared.glob("*.jsonl"), *shared.glob("done-*")):
            made.unlink()
    (shared / "tree.tar").unlink()
    outcome = Outcome(kernel, release(vmlinuz), time.monotonic() - began, died)
    outcome.rungs = _lines(shared / "rungs.jsonl")
    outcome.doctor = _lines(shared / "doctor.jsonl")
    outcome.tests = [test for n in WORKERS for test in _lines(shared / f"tests-{n}.jsonl")]
    if not died and not all((shared / f"done-{n}").exists() for n in WORKERS):
        outcome.died = f"it ended early: see {shared}/console and {shared}/log*"
    return outcome


def _job(kernel: Kernel, arguments: list[str]) -> dict[str, Any]:
    """What pytest is told: to read only files with marked tests, as reading is slow there."""
    given = [word for word in arguments if Path(word.partition("::")[0]).exists()]
    files = sorted((ROOT / "tests/kernel").glob("test_*.py"))
    marked = [f"tests/kernel/{file.name}" for file in files if "mark.guest" in file.read_text()]
    if not kernel.bcc:
        marked = [path for path in marked if OF_BCC not in path]
    options = [word for word in arguments if word not in given]
    return {"arguments": options, "files": given or marked, "cannot": kernel.cannot}


def _boot(vmlinuz: Path, shared: Path, limit: float) -> str:
    command: list[str | Path] = [VNG, "--verbose", "-r", vmlinuz]
    command += ["--disable-kvm", "--force-9p", "--memory", "3G", "--cpus", "2"]
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
            return _await_end(guest, shared, limit)
        finally:
            # its own session: vng, what it started, and QEMU
            if guest.poll() is None:
                os.killpg(guest.pid, signal.SIGKILL)
                guest.wait()


def _await_end(guest: subprocess.Popen[bytes], shared: Path, limit: float) -> str:
    """Why it did not end by itself; empty if it did."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        with suppress(subprocess.TimeoutExpired):
            guest.wait(LOOK_S)
            return _fault(shared)
        if fault := _fault(shared):
            return fault
    return f"it hung: ended after {limit:.0f} s, see {shared}/console and {shared}/log*"


def _fault(shared: Path) -> str:
    """What the emulation did wrong, empty if nothing; no other guest need suffer from it."""
    said = (shared / "console").read_text(errors="replace")
    for what, often, words in ((STUCK, OFTEN, "stood still"), (TRAPPED, 1, "met a trap")):
        if said.count(what) >= often:
            return f"a CPU {words} ({what}): see {shared}/console"
    return ""


def _going_in(with_bcc: bool) -> list[str]:
    """Python's own modules, those of this environment, this tree, programs and their libraries."""
    late = (*LATE_LIBRARIES, BCC_LIBRARY) if with_bcc else LATE_LIBRARIES
    modules = [sysconfig.get_path("stdlib"), sysconfig.get_path("platlib")]
    folders = [*(os.path.realpath(folder) for folder in modules), *(str(ROOT / n) for n in TREE)]
    folders += [BCC_PYTHON] if with_bcc else []
    found = [path for name in PROGRAMS if (path := shutil.which(name))]
    found += [str(file) for name in late for file in Path("/usr/lib").glob(f"*/{name}")]
    modules = [str(file) for folder in folders[:2] for file in Path(folder).rglob("*.so")]
    said = subprocess.run(["ldd", *found, *modules], capture_output=True, text=True).stdout
    found += re.findall(r"(/\S+) \(0x", said)
    files = dict.fromkeys(os.path.realpath(path) for path in found)
    return [*folders, *(f for f in files if not any(f.startswith(f"{g}/") for g in folders))]


def _pack(shared: Path, sources: Path | None) -> None:
    """The archive, and where what is in it belongs; `sources`: what /usr/src is to be."""
    places = {path: path for path in _going_in(with_bcc=sources is not None)}
    if sources:
        places[str(sources)] = "/usr/src"
    lines = [f"/run/tree{place} {place} none bind 0 0\n" for place in places.values()]
    (shared / "fstab").write_text("".join(lines))
    with tarfile.open(shared / "tree.tar", "w") as tar:
        for path, place in places.items():
            tar.add(path, place[1:], filter=_wanted)


def _wanted(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = Path(entry.name).parts
    if LEFT_OUT & set(parts[-1:]) or ("tests" in parts and "numpy" in parts):
        return None
    return None if "__mypyc." in entry.name else entry


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
