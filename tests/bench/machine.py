"""The machine that is measured on: what it is, and whether it is quiet."""

from __future__ import annotations

import ctypes as C
import os
import re
import time
from pathlib import Path

_QUIET_SHARE = 0.05
_LOOK_S, _PATIENCE_S = 0.05, 0.5
_IDLE_COLUMNS = slice(3, 5)  # idle and iowait, man 5 proc_stat


def describe() -> str:
    """Kernel, CPUs, and how busy they were before, in one line."""
    models = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    model = f" ({models[0]})" if models else ""
    kernel = f"Linux {os.uname().release}, {os.uname().machine}"
    return f"{kernel}, {os.cpu_count()} CPUs{model}, load average {os.getloadavg()[0]:.2f} before"


def settle() -> None:
    """Wait for the CPUs to have nothing to do, for half a second at most.

    What a round leaves behind, such as the end of its namespace, is then not in the next one.
    """
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and _busy() > _QUIET_SHARE:
        pass


def _busy() -> float:
    before = _ticks()
    time.sleep(_LOOK_S)
    spent = [now - then for now, then in zip(_ticks(), before, strict=True)]
    return 1 - sum(spent[_IDLE_COLUMNS]) / max(1, sum(spent))


def _ticks() -> list[int]:
    with open("/proc/stat") as stat:
        return [int(word) for word in stat.readline().split()[1:9]]


def cpu_ns(pid: int) -> int:
    """CPU time of all threads of a process up to now."""
    clock = C.c_int()
    assert not C.CDLL(None).clock_getcpuclockid(pid, C.byref(clock))
    return time.clock_gettime_ns(clock.value)


def resident_mb(pid: int) -> float:
    """VmRSS of a process, in MB of 10**6 bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    kib = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert kib, status
    return int(kib[1]) * 1024 / 1e6
