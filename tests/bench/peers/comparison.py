"""The tables of the comparison: what the tools cost, and what they say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.estimates import Estimate, of_mean
from tests.bench.peers.storms import Costs, Round
from tests.bench.peers.tools import Tool
from tests.bench.peers.truth import Truth
from tests.bench.table import markdown

COST_COLUMNS = (
    "tool",
    "connections/s kept",
    "events missing",
    "said to be lost",
    "kernel, an event",
    "CPU, an event told",
    "memory",
    "first event after",
)
TRUTH_COLUMNS = ("tool", "lines of the connections", "with the right process", "dropped SYNs told")
NONE = "-"


@dataclass
class Measured:
    """All there is of one tool; `why` it could not run, and then nothing else."""

    tool: Tool
    why: str = ""
    costs: Costs | None = None
    kernel_ns: Estimate | None = None
    start_s: Estimate | None = None
    truth: Truth | None = None

    def cost_cells(self) -> list[str]:
        """Its row of the first table."""
        if not self.costs:
            return self._unable(COST_COLUMNS)
        costs = self.costs
        return [
            self.tool.name,
            _text(costs.kept, "%", 1),
            f"{costs.missing:.2f} %",
            f"{costs.told_lost:.2f} %",
            _text(self.kernel_ns, "ns"),
            _number(costs.cpu_ns, "ns"),
            _number(costs.resident_mb.mean, "MB"),
            _text(self.start_s, "s", 2),
        ]

    def truth_cells(self) -> list[str]:
        """Its row of the second table."""
        if not self.truth:
            return self._unable(TRUTH_COLUMNS)
        said = self.truth
        return [
            self.tool.name,
            f"{said.lines} of {said.due}",
            f"{said.right} of {said.lines}",
            f"{said.drops_told} of {said.dropped}",
        ]

    def _unable(self, columns: tuple[str, ...]) -> list[str]:
        return [self.tool.name, f"not measured: {self.why}", *[NONE] * (len(columns) - 2)]

    def raw(self) -> dict[str, Any]:
        """What rounds.json keeps."""
        return {
            "name": self.tool.name,
            "why": self.why,
            "costs": asdict(self.costs) if self.costs else None,
            "kernel_ns": asdict(self.kernel_ns) if self.kernel_ns else None,
            "start_s": asdict(self.start_s) if self.start_s else None,
            "truth": asdict(self.truth) if self.truth else None,
        }


def _text(value: Estimate | None, unit: str, digits: int = 0) -> str:
    if value is None:
        return NONE
    half = "" if value.half is None else f" ± {value.half:.{digits}f}"
    return f"{value.mean:.{digits}f}{half} {unit}"


def _number(value: float | None, unit: str) -> str:
    return NONE if value is None else f"{value:.0f} {unit}"


def page(facts: list[str], measured: list[Measured], turns: list[Round]) -> str:
    """The whole of peers.md."""
    costs = markdown(COST_COLUMNS, [one.cost_cells() for one in measured])
    truths = markdown(TRUTH_COLUMNS, [one.truth_cells() for one in measured if one.tool.shows])
    untraced = of_mean([turn["untraced"]["rate"] for turn in turns])
    notes = [
        *facts,
        f"{len(turns)} turns of a storm, once untraced and once under each: "
        f"{_text(untraced, 'connections/s')} untraced",
        "an event is one state change, ten a connection by the kernel's own counters; of tcplife a"
        " line, two a connection. Missing: what was not told of these, said to be lost or not",
        "kernel: time of all programs of a tool, by event, in rounds of their own; the tracepoint's"
        " own cost is in what is kept",
        "memory is VmRSS after a storm; the first event is timed on a terminal",
    ]
    return f"# Beside others\n\n{costs}\n{truths}\n" + "".join(f"- {note}\n" for note in notes)
