"""When to stop: what a session and a look have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Limits:
    """When to stop, and how often to close a block; signals set `stop` and `interim`.

    `wanted` are subjects to attach, of those that Settings.later names, for as long as they stand
    here; and looks at connections, which sparing sessions do without. While it is `priced`, the
    kernel measures what the programs take.
    """

    seconds: float | None = None
    interval: float | None = None
    most_bytes: int | None = None
    stop: str = ""
    interim: bool = False
    wanted: frozenset[str] = frozenset()
    priced: bool = False
