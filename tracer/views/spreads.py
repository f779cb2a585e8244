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


def percentiles(spread: Spread) -> dict[str, object] | None:
    """`{count,sum,min,p50,p90,p99,p999,max}` in us, of the spans that are known; None without."""
    exact = int(spread.weights.sum())
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
