"""Kernel headers for BCC, which compiles against them when it starts.

Where the running kernel has its own, BCC finds them. Elsewhere it gets those of Debian's kernel,
unpacked into a folder of their own; Debian has them in two parts, BCC wants one. A tool that takes
its fields from a tracepoint's format, as tcpstates does, reads the same with either; one that
reads the kernel's structures would read garbage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench import programs

TREE = programs.BUILD / "bench" / "headers"
# links to a third package, of the compiler's helpers: not needed
LEFT_OUT = shutil.ignore_patterns("scripts", "tools")


def environment() -> dict[str, str]:
    """What to tell BCC. Errors: RuntimeError where there are no headers to be had."""
    if Path(f"/lib/modules/{os.uname().release}/build").exists():
        return {}
    if not TREE.exists():
        _make()
    return {"BCC_KERNEL_SOURCE": str(TREE)}


def _make() -> None:
    work = TREE.with_suffix(f".{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        machine = _run("dpkg", "--print-architecture").strip()
        split = _dependency(f"linux-headers-{machine}", rf"linux-headers-\d\S*-{machine}")
        common = _dependency(split, r"linux-headers-\d\S*-common")
        _run("apt-get", "download", split, common, cwd=work)
        for package in work.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(work / "parts"))
        for part in (common, split):
            source = work / "parts/usr/src" / part
            shutil.copytree(source, work / "tree", ignore=LEFT_OUT, dirs_exist_ok=True)
        (work / "tree").rename(TREE)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _dependency(package: str, pattern: str) -> str:
    found = re.search(rf"Depends: ({pattern})$", _run("apt-cache", "depends", package), re.M)
    if not found:
        raise RuntimeError(f"{package} depends on no {pattern}")
    return found[1]


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        environment()
    except RuntimeError as error:
        sys.exit(str(error))
