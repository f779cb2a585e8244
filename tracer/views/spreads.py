"""How a set of spans is written: percentiles as people and as scripts read them."""

from __future__ import annotations

from tracer.flows.transitions import Spread
from tracer.views.text import duration

SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))
NAMES = ("count", "sum", "min", *(name for name, _ in SHARES), "max")


def quantile(spread: Spread, share: float) -> str:
    """A quantile as it is shown: two digits, for buckets are good to 6 %, and at most the longest.

    `-` without known spans.
    """
    value = spread.quantile(share)
    if value is None:
        return "-"
    digits = len(str(int(value))) - 2
    return duration(min(round(value, -digits) if digits > 0 else value, spread.most))


def most(spread: Spread) -> str:
    """The longest, `>=` where one that began before tracing may be it; `-` without any."""
    if spread.most_at_least > spread.most:
        return f">={duration(spread.most_at_least)}"
    return duration(spread.most) if spread.timed else "-"


def timed(spread: Spread) -> int | None:
    """How many the quantiles are of; None for spans that nothing has."""
    return spread.timed if spread.timed or spread.at_least else None


def at_least(name: str, spread: Spread) -> dict[str, object]:
    """How many began before tracing, and the greatest lower bound of these, us."""
    return {
        f"{name}_at_least_count": spread.at_least,
        f"{name}_at_least_us": spread.most_at_least / 1000 if spread.at_least else None,
    }


def percentiles(spread: Spread) -> dict[str, object] | None:
    """`{count,sum,min,p50,p90,p99,p999,max}` in us, of the spans that are known; None without."""
    exact = spread.timed
    if not exact:
        return None
    found: dict[str, object] = {
        "count": exact,
        "sum": spread.total / 1000,
        "min": spread.least / 1000,
    }
    for name, share in SHARES:
        value = spread.quantile(share)
        found[name] = None if value is None else round(value / 1000, 3)
    found["max"] = spread.most / 1000
    return found
