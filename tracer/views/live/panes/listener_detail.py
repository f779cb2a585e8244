"""One listener in lines: who holds it, what limits it, what it dropped, how long it is waited."""

from __future__ import annotations

import errno
from collections.abc import Iterable

from tracer.flows.histogram import DECADES, Histogram
from tracer.flows.listeners import Listener
from tracer.views.live.losses import Share
from tracer.views.live.panes.base import Name
from tracer.views.live.parts import ListenerDrops, Parts
from tracer.views.live.picture import ListenerRow, Picture
from tracer.views.spreads import quantile
from tracer.views.text import duration, per_second
from tracer.wire.distinct import distinct

UNKNOWN = ListenerDrops()


def below(picture: Picture, name: Name | None, width: int, height: int) -> list[str]:
    """Of the listener that is selected, else of the first."""
    rows = picture.listeners
    chosen = next((row for row in rows if row.cookie == name), rows[0] if rows else None)
    one = picture.parts.listeners.get(chosen.cookie) if chosen is not None else None
    minute = picture.parts.minute
    if chosen is None or one is None or minute is None:
        return []
    waits = minute.waits.of_listener(chosen.cookie)
    accepted = waits.accepted()
    lost = picture.parts.shares.get("accept")
    lines = [
        _who(chosen, picture.parts, waits.acceptors(), accepted.count, minute.span_ns, lost),
        _queues(one, picture.parts),
        _dropped(picture.parts, chosen.cookie),
        _accepted(one, accepted, waits.failed(), minute.span_ns, lost),
        _waited(accepted),
    ]
    room = max(0, height - len(lines))
    return [*lines, *_bars(accepted, width)[:room]][:height]


def _who(
    row: ListenerRow, parts: Parts, acceptors: int, count: int, span_ns: int, lost: Share | None
) -> str:
    held = 0
    if parts.holders is not None:
        held = len(distinct(parts.holders["pid"][parts.holders["cookie"] == row.cookie]))
    text = f"{row.name}  {row.owner}, held by {held}"
    if acceptors and lost:
        text += f"; {acceptors} or more accept"
    elif acceptors:
        text += f"; {acceptors} accept, {count / acceptors / (span_ns / 1e9):.2g}/s each"
    return text


def _queues(one: Listener, parts: Parts) -> str:
    row = one.row
    attached = parts.drops is not None
    drops = _drops(parts, int(row["cookie"]))
    # what raises the peak is what sees each SYN
    peak = str(one.syn_queue_peak) if attached and not row["reuseport"] else "-"
    cookies = f"{per_second(drops.cookies_rate)}/s" if attached else "-"
    limit = int(row["accept_queue_max"])
    somaxconn = int(row["somaxconn"])
    by = "-" if not somaxconn else "somaxconn" if limit >= somaxconn else f"listen({limit})"
    return (
        f" syn queue  {row['syn_queue']}/{limit} peak {peak}   cookies {cookies}"
        f"   limit {limit} set by {by}, somaxconn {somaxconn or '-'}"
    )


def _drops(parts: Parts, cookie: int) -> ListenerDrops:
    return parts.drops.by_listener.get(cookie, UNKNOWN) if parts.drops else UNKNOWN


def _dropped(parts: Parts, cookie: int) -> str:
    if parts.drops is None:
        return " dropped    - (not attached yet)"
    drops = _drops(parts, cookie)
    causes: dict[str, list[str]] = {}
    for (cause, stage), count in sorted(drops.counts.items(), key=lambda item: -item[1]):
        rate = drops.rates.get((cause, stage), 0.0)
        causes.setdefault(cause, []).append(f"at {stage} {count}, {per_second(rate)}/s")
    told = "; ".join(f"{cause}: {', '.join(parts)}" for cause, parts in causes.items())
    return f" dropped    {told or 'none'} in {duration(parts.drops.span_ns)}"


def _accepted(
    one: Listener, accepted: Histogram, failed: dict[int, int], span_ns: int, lost: Share | None
) -> str:
    row = one.row
    bound = ">=" if row["oldest_is"] else ""
    oldest = f", oldest {bound}{duration(int(row['oldest_ns']))}" if row["oldest_ns"] else ""
    errors, share = _named(failed.items()) or "0", f" ({lost})" if lost else ""
    return (
        f" accepted   {accepted.count} in {duration(span_ns)}, failed {errors}{share}"
        f"   waiting {row['accept_queue']}{oldest}   reset in queue {row['reset_in_queue']}"
    )


def _named(failed: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"{count} {errno.errorcode.get(error, error)}" for error, count in failed)


def _waited(accepted: Histogram) -> str:
    spans = "  ".join(
        f"{name} {quantile(accepted, share)}"
        for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    )
    most = duration(accepted.most) if accepted.timed else "-"
    return f" wait for accept()  n {accepted.timed}  {spans}  max {most}"


def _bars(accepted: Histogram, width: int) -> list[str]:
    """How many waited up to each power of ten."""
    counts = accepted.decades.tolist()
    used = [i for i, count in enumerate(counts) if count]
    if not used:
        return []
    ends = [duration(ns) for ns in DECADES]
    length, most = max(8, min(40, width - 32)), max(counts)
    lines = []
    for i in range(used[0], used[-1] + 1):
        label = f"<= {ends[i]}" if i < len(ends) else f"> {ends[-1]}"
        bar = "#" * -(-counts[i] * length // most)
        lines.append(f"{label:>12} |{bar:{length}} {counts[i]}")
    return lines
