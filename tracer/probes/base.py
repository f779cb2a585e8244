"""The words in which a subject is declared."""

from __future__ import annotations

import platform
from dataclasses import dataclass


@dataclass(frozen=True)
class Rung:
    """One way to attach a subject.

    `how` is tp_btf, raw_tp, fexit, tracepoint or iter; `targets` are the hooks, in the kernel's
    names; `programs` those of the object, of which the last serves the targets that are left over;
    `costs` what it takes from the machine, in words;
    `helpers` what the programs call that not every kernel has; `reads` how many arguments of its
    first target, where not every kernel's has so many, and `blind` what it does not tell then.
    """

    how: str
    targets: tuple[str, ...]
    programs: tuple[str, ...]
    costs: str = ""
    helpers: tuple[str, ...] = ()
    reads: int = 1
    blind: str = ""

    @property
    def also(self) -> tuple[tuple[str, str], ...]:
        """The last program, and each target beyond its own that it is attached to."""
        return tuple((self.programs[-1], target) for target in self.targets[len(self.programs) :])


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
