"""How long connections had been silent when a RST came: bars, and the spike's name."""

from __future__ import annotations

from tracer.flows.resets import Silence
from tracer.views.text import duration

BAR = 40
# upper ends, s: timeouts of load balancers and firewalls are minutes
ENDS_S = (1, 10, 60, 300, 900, 3600)
NAMES = ("<= 1s", "1s - 10s", "10s - 1m", "1m - 5m", "5m - 15m", "15m - 1h", "> 1h")
OF_WAY = {
    "received": "the idle timeout of the peer, or of a load balancer, NAT or firewall on the way;"
    " keepalive probes more often than that keep it from forgetting",
    "sent": "a timeout of our own",
}


def bars(silence: Silence) -> list[str]:
    """Counts by span, from the first that has any to the last; none where all were short."""
    counts = [0] * len(NAMES)
    for ns, count in silence.counts.items():
        counts[sum(ns > end * 1_000_000_000 for end in ENDS_S)] += count
    filled = [place for place, count in enumerate(counts) if count]
    if not filled or filled[-1] == 0:
        return []
    most, whole = max(counts), silence.total
    return [
        f"{NAMES[place]:>13} |{'#' * -(-BAR * counts[place] // most):{BAR}}"
        f" {counts[place]:>8} {100 * counts[place] / whole:5.1f}%"
        for place in range(filled[0], filled[-1] + 1)
    ]


def lines(way: str, silence: Silence) -> list[str]:
    """Of RSTs that went one way."""
    found = bars(silence)
    if found:
        found.insert(0, f"silent before a RST was {way}:")
    spike = silence.spike()
    if spike is not None:
        found.append(f"{_seconds(spike.ns)}: {spike.count} of {spike.of}: {OF_WAY[way]}")
    return found


def _seconds(ns: float) -> str:
    """Whole seconds, where that says enough."""
    return f"{ns / 1e9:.0f} s" if ns >= 9.5e9 else duration(ns)
