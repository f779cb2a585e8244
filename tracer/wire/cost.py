"""What the programs took of the machine since the last look: a frame of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class KernelCost:
    """By the kernel's own clock: `run_ns` in `runs` of programs, in `span_ns` of time.

    `seen` is how many events they saw in it, before filters.
    """

    span_ns: int
    runs: int
    run_ns: int
    seen: int

    @classmethod
    def from_bytes(cls, data: bytes) -> KernelCost | None:
        """None: nobody wants to know any more."""
        found = json.loads(data)
        return None if found is None else cls(**found)

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()


OVER = b"null"  # the frame's bytes when it is no longer measured
