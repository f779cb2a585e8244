"""Rows of the result, each a measurement beside its target, and the table they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tests.bench.estimates import Estimate

MET = {True: "yes", False: "no", None: ""}


@dataclass(frozen=True)
class Row:
    """One measurement. `target`, if there is one, is met by a mean that is `bound` it."""

    name: str
    what: str
    measured: Estimate
    unit: str
    target: float | None = None
    bound: Literal["at most", "at least"] = "at most"
    digits: int = 0

    @property
    def met(self) -> bool | None:
        """Whether the mean is within the target."""
        if self.target is None:
            return None
        if self.bound == "at least":
            return self.measured.mean >= self.target
        return self.measured.mean <= self.target

    def cells(self) -> list[str]:
        """The columns of the table."""
        text = f"{self.measured.mean:.{self.digits}f}"
        if self.measured.half is not None:
            text += f" ± {self.measured.half:.{self.digits}f}"
        return [self.what, f"{text} {self.unit}".rstrip(), self._target(), MET[self.met]]

    def _target(self) -> str:
        if self.target is None:
            return ""
        return f"{self.bound} {self.target:g} {self.unit}".rstrip()

    def raw(self) -> dict[str, Any]:
        """What rounds.json keeps."""
        return {**asdict(self), "met": self.met}


@dataclass
class Result:
    """Rows, the raw rounds behind them, and what to say of the rounds beside the table."""

    rows: list[Row]
    rounds: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def markdown(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def page(title: str, facts: Sequence[str], results: Iterable[Result]) -> str:
    """The whole of table.md."""
    kept = list(results)
    rows = [row.cells() for result in kept for row in result.rows]
    notes = [*facts, *(note for result in kept for note in result.notes)]
    table = markdown(("what", "measured", "target", "met"), rows)
    return f"# {title}\n\n{table}\n" + "".join(f"- {note}\n" for note in notes)
