"""Who answers for what a finding is about."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Owner:
    """Who answers for it; `name` is safe to show. `descriptors`: in use, and the limit."""

    name: str = "(unknown)"
    pid: int | None = None
    comm: str | None = None
    descriptors: tuple[int, int] | None = None

    @property
    def asked(self) -> str:
        """` --pid N`, for a command that shows more of it."""
        return f" --pid {self.pid}" if self.pid else ""
