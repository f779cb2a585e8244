"""How long and how often to measure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """What a bench run spends."""

    least_pairs: int = 5
    most_pairs: int = 60
    round_s: float = 1.0
    call_pairs: int = 10
    cost_rounds: int = 5
    cpu_rounds: int = 5
    cpu_s: float = 3.0
    starts: int = 10
    resident_s: float = 60.0
    idle_s: float = 10.0


FULL = Effort()
QUICK = Effort(
    least_pairs=2,
    most_pairs=2,
    call_pairs=2,
    cost_rounds=2,
    cpu_rounds=2,
    cpu_s=1.0,
    starts=2,
    resident_s=3.0,
    idle_s=2.0,
)
