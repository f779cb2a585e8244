"""Stacks of calls as a session tells of them: each once, by the number that records name it by.

A frame is `function+0x1f`, or an address where nothing is known; the innermost comes first.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import NamedTuple

CUT = "..."  # the last frame of a stack that goes on: there is no room for more
# how the kernel calls us
_TRACING = ("bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_")
_AHEAD = 8  # frames in which those are looked for
# what was interrupted there has nothing to do with the packet
_INTERRUPTS: tuple[str, ...] = (
    *("asm_common_interrupt", "asm_sysvec_", "asm_exc_", "ret_from_intr"),
    *("el1h_64_irq", "el0t_64_irq", "el1_irq", "el0_irq"),
)

Frames = list[str]


class Owned(NamedTuple):
    """A stack of a process: addresses mean nothing without it."""

    pid: int
    start: int
    user_stack: int


@dataclass(frozen=True)
class Told:
    """Frames of the kernel's stacks by number, and of processes' by theirs."""

    kernel: dict[int, Frames] = field(default_factory=dict)
    user: dict[Owned, Frames] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As a frame of a recording carries it."""
        user = [[*key, frames] for key, frames in self.user.items()]
        return json.dumps({"kernel": self.kernel, "user": user}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Told:
        """Undo `to_bytes`. Errors: KeyError, TypeError, ValueError for what it did not write."""
        found = json.loads(data)
        return cls(
            {int(number): list(frames) for number, frames in found["kernel"].items()},
            {Owned(*map(int, key)): list(frames) for *key, frames in found["user"]},
        )


def trim(frames: Frames) -> Frames:
    """A stack of the kernel's without what looks at it, and up to where it was interrupted."""
    ahead = [i for i, name in enumerate(frames[:_AHEAD]) if name.startswith(_TRACING)]
    frames = frames[ahead[-1] + 1 :] if ahead else frames
    for i, name in enumerate(frames):
        if name.startswith(_INTERRUPTS):
            return frames[: i + 1]
    return frames


def is_whole(frames: Frames) -> bool:
    """Whether it is known to lead back to where the process that ran called the kernel."""
    return bool(frames) and not frames[-1].startswith((*_INTERRUPTS, "0x", CUT))
