"""The C programs of the bench, built when they are older than their sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.harness import ROOT

HERE = Path(__file__).resolve().parent
BUILD = ROOT / "tests" / "build"
WARNINGS = ["-O2", "-Wall", "-Wextra", "-Werror"]


def storm() -> Path:
    """Build storm.c and return the program."""
    return _build(HERE / "storm.c", BUILD / "storm", ["gcc", *WARNINGS, "-pthread"])


def calls() -> Path:
    """Build calls.c and return the program."""
    return _build(HERE / "calls.c", BUILD / "calls", ["gcc", *WARNINGS])


def empty() -> Path:
    """Build empty.bpf.c and return the object."""
    machine = subprocess.run(["gcc", "-dumpmachine"], check=True, capture_output=True, text=True)
    include = f"-I/usr/include/{machine.stdout.strip()}"
    flags = ["-g", "-Wno-unused-parameter", "-target", "bpf", "-mcpu=v3", include, "-c"]
    return _build(HERE / "empty.bpf.c", BUILD / "empty.bpf.o", ["clang", *WARNINGS, *flags])


def _build(source: Path, target: Path, command: list[str]) -> Path:
    if target.exists() and target.stat().st_mtime >= source.stat().st_mtime:
        return target
    BUILD.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}")
    subprocess.run([*command, str(source), "-o", str(fresh)], check=True)
    fresh.rename(target)
    return target
