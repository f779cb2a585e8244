"""A spread as all summaries tell it."""

from __future__ import annotations

from tracer.flows.transitions import Spread

SHARES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999))
NAMES = ("count", "sum", "min", *(name for name, _ in SHARES), "max")


def percentiles(spread: Spread) -> dict[str, object] | None:
    """Count, sum, least, percentiles and most in microseconds; None without exact ones."""
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
