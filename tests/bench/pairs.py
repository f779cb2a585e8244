"""Pairs of rounds of one load, one untraced and one traced; which goes first alternates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.bench.effort import Effort
from tests.bench.estimates import Estimate, of_mean, of_ratio
from tests.bench.traced import Traced

NARROW = 0.015
Load = Callable[[], dict[str, float]]
Round = dict[str, Any]


def some(load: Load, arguments: list[str], count: int) -> list[Round]:
    """Make so many pairs: what the load measured `untraced` and `traced`, and what was `told`."""
    return [_pair(load, _under(arguments), number) for number in range(count)]


def enough(load: Load, arguments: list[str], effort: Effort) -> list[Round]:
    """Make pairs until the interval of what is kept of the load's `rate` is narrow enough."""
    return enough_under(load, _under(arguments), effort)


def enough_under(load: Load, run: Callable[[Load], Round], effort: Effort) -> list[Round]:
    """The same where `run` makes the traced round."""
    rounds: list[Round] = []
    while not _is_enough(rounds, effort):
        rounds.append(_pair(load, run, len(rounds)))
    return rounds


def kept(rounds: list[Round]) -> Estimate:
    """The traced rate beside the untraced one."""
    return of_ratio([pair["traced"]["rate"] / pair["untraced"]["rate"] for pair in rounds])


def sides(rounds: list[Round], key: str, factor: float = 1, digits: int = 0) -> str:
    """What both sides measured, in words for a note."""
    means = {
        side: of_mean([pair[side][key] for pair in rounds]).times(factor)
        for side in ("untraced", "traced")
    }
    return ", ".join(
        f"{mean.mean:.{digits}f} ± {mean.half or 0:.{digits}f} {side}"
        for side, mean in means.items()
    )


def _under(arguments: list[str]) -> Callable[[Load], Round]:
    def run(load: Load) -> Round:
        with Traced(*arguments) as tracer:
            measured = load()
            tracer.end()
        return {"traced": measured, "told": tracer.told.raw()}

    return run


def _pair(load: Load, run: Callable[[Load], Round], number: int) -> Round:
    traced_first = number % 2 == 1
    pair: Round = {"traced_first": traced_first}
    for trace in (traced_first, not traced_first):
        pair |= run(load) if trace else {"untraced": load()}
    return pair


def _is_enough(rounds: list[Round], effort: Effort) -> bool:
    if len(rounds) < effort.least_pairs:
        return False
    half = kept(rounds).half
    return len(rounds) >= effort.most_pairs or (half is not None and half <= NARROW)
