"""The words in which a subject is declared."""

from __future__ import annotations

import platform
from dataclasses import dataclass

# not measured by us: the benchmark of the kernel's selftests/bpf had 54 ns for a kprobe and 149 for
# a kretprobe, on its author's machine, of x86, in 2020
KPROBE_COST = "about 0.2 us (x86, by others' figures) on each"
# a kretprobe sees no more calls end at once than the kernel keeps places for: ten, or twice as many
# as CPUs (kernel/kprobes.c: register_kretprobe())
MAY_BE_MISSED = "may not be told"


@dataclass(frozen=True)
class Lack:
    """What a rung does not tell where the kernel lacks something: it is degraded there.

    `needs` is a name that tracer/kernel/features.py knows, `untold` what is not told without it.
    """

    needs: str
    untold: str


@dataclass(frozen=True)
class Rung:
    """One way to attach a subject.

    `how` is tp_btf, raw_tp, fexit, kprobe (and kretprobe), tracepoint or iter; `targets` are the
    hooks, in the kernel's names; `programs` those of the object, `also` those that stand on another
    target besides their own, with that; `costs` what it takes from the machine, in words;
    `helpers` what the programs call that not every kernel has; `reads` how many arguments of its
    first target, where not every kernel's has so many, and `blind` what it does not tell then;
    `lacks` what it may not tell though it is taken.
    """

    how: str
    targets: tuple[str, ...]
    programs: tuple[str, ...]
    also: tuple[tuple[str, str], ...] = ()
    costs: str = ""
    helpers: tuple[str, ...] = ()
    reads: int = 1
    blind: str = ""
    lacks: tuple[Lack, ...] = ()


def call(name: str) -> str:
    """The kernel's function that serves a system call."""
    return f"__{'x64' if platform.machine() == 'x86_64' else 'arm64'}_sys_{name}"


@dataclass(frozen=True)
class Subject:
    """One thing that can be told: its records, its ladder, and what is lost without it."""

    name: str
    kinds: tuple[str, ...]
    tells: str
    rungs: tuple[Rung, ...]
    without: str
