"""A picture as lines of text: everything on the screen but the pane's table."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tracer.views.live.picture import Counter, Picture
from tracer.views.text import per_second
from tracer.wire.cost import KernelCost

# as the strip of sockets names them, in its order
STRIP = (
    ("LISTEN", ("LISTEN",)),
    ("SYN_SENT", ("SYN_SENT",)),
    ("SYN_RECV", ("SYN_RECV", "NEW_SYN_RECV")),
    ("ESTAB", ("ESTABLISHED",)),
    ("CLOSE_WAIT", ("CLOSE_WAIT",)),
    ("FIN_WAIT", ("FIN_WAIT1", "FIN_WAIT2", "CLOSING")),
    ("LAST_ACK", ("LAST_ACK",)),
    ("TIME_WAIT", ("TIME_WAIT",)),
)
RATES = (
    ("opened in", "opened_in"),
    ("opened out", "opened_out"),
    ("failed", "failed"),
    ("closed", "closed"),
    ("accepted", "accepted"),
)
NEWS_NS = 20_000_000_000
WIDE = 120  # from here on there are curves, and a tail of events


@dataclass(frozen=True)
class Glyphs:
    """What lines and curves are made of: of UTF-8, or of ASCII where the locale has no other."""

    rule: str
    curve: str
    full: str
    ascii: bool


UTF8 = Glyphs("─", " ▁▂▃▄▅▆▇█", "█", ascii=False)
ASCII = Glyphs("-", " .:-=+*#@", "#", ascii=True)


def head(
    picture: Picture, width: int, every_s: float | None = None, behind_s: int | None = None
) -> str:
    """Who, where, since when; how far a picture that is held is behind."""
    left = f"tcptrace  {picture.host}  {picture.kernel}  {picture.scope}"
    if picture.filters:
        left += f"  filter: {picture.filters}"
    now = picture.clock if width >= WIDE else picture.clock.partition(" ")[2]
    right = f"{now}  up {clock(picture.span_ns)}"
    if picture.recorded:
        right = f"{now}  recording {clock(picture.span_ns)} of {clock(picture.whole_ns)}"
    elif every_s is not None and width >= WIDE:
        right += f"  every {every_s:g} s"
    if behind_s is not None:
        right = f"PAUSED, {behind_s} s behind  {right}"
    return _apart(left, right, width)


def narrowed(picture: Picture, width: int) -> list[str]:
    """What the screen is narrowed to, if it is."""
    if not picture.narrowing:
        return []
    why = "  (esc shows all; the line above and KERNEL are of all)"
    if len(picture.narrowed) + len(why) + 7 > width:
        why = "  (esc shows all)"
    return [_fit(f"SHOWN  {picture.narrowed}", width - len(why)) + why]


def worst(picture: Picture, width: int) -> tuple[bool, list[str]]:
    """The verdict: a line, or two where it is too long for one."""
    wrong, text = picture.verdict
    first = "! " if wrong else "  "
    lines = textwrap.wrap(text, width, initial_indent=first, subsequent_indent="  ")
    rest = " ".join(line.strip() for line in lines[1:])
    return wrong, [lines[0], _fit(f"  {rest}", width)] if rest else lines


def sockets(picture: Picture, width: int) -> list[str]:
    """Sockets by state now, in as many lines as it takes."""
    sign = f"({picture.unsure})" if picture.unsure else ""
    return _strip(picture.sockets, width, sign)


def _strip(found: dict[str, int], width: int, sign: str = "") -> list[str]:
    cells = []
    for name, states in STRIP:
        count = sum(found.get(state, 0) for state in states)
        cells.append(f"{name} {count}")
    return flow("NOW    ", [*cells, *([sign] if sign else [])], width)


def rates(picture: Picture, width: int, glyphs: Glyphs) -> list[str]:
    """What happens in a second; with curves of the last minute where there is room."""
    cells = []
    share = picture.parts.shares.get("state") if picture.of_records else None
    for name, key in RATES:
        rate = picture.rates.get(key)
        text = f"{name} {per_second(rate)}"
        if key == "failed" and rate:
            text += " !"
        if width >= WIDE:
            text += f" {curve(picture.curves.get(key, []), 12, glyphs)}"
        cells.append(text)
    signs = [f"({share})"] if share else []
    if picture.uncounted:
        signs.append(f"(at least: {picture.uncounted} went uncounted)")
    return flow("RATE/s ", [*cells, *signs], width)


def counters(picture: Picture, width: int) -> list[str]:
    """The kernel's own counters that moved, the fastest first: one line."""
    if not picture.counters_rated:
        return ["KERNEL -"]
    moving = [one for one in picture.counters if one.rate]
    if not moving:
        return ["KERNEL quiet"]
    quiet = len(picture.counters) - len(moving)
    line = "KERNEL "
    left = len(moving)
    for one in moving:
        cell = _counter(one)
        if len(line) + len(cell) + 14 > width:
            break
        line += cell + "  "
        left -= 1
    rest = left + quiet
    return [_fit(line + (f"({rest} more)" if rest else ""), width)]


# what others stand on: named where one of them is off
HELPERS = frozenset({"task", "synack", "request", "unrecorded", "cookies", "io_uring"})


def foot(picture: Picture, width: int) -> list[str]:
    """What it costs, what is lost, what is on."""
    rate = picture.rates.get("events")
    first = (
        f"{per_second(rate)} events/s"
        f"  lost {picture.lost}{' !' if picture.lost else ''}  {cost(picture)}"
    )
    if picture.parts.change:
        first += f"  {picture.parts.change}"
    history = picture.history
    if history.dropped:
        first += f"  {history.dropped} events no longer kept"
    on = " ".join(n for n, how in picture.attached.items() if how != "off" and n not in HELPERS)
    off = " ".join(name for name, how in picture.attached.items() if how == "off")
    second = f"on: {on}" + (f"  off: {off}" if off else "")
    lines = [first, second, *([f"kernel: {taken(picture.taken)}"] if picture.taken else [])]
    return [*(_fit(line, width) for line in lines), *_fit_notice(picture, width)]


def _fit_notice(picture: Picture, width: int) -> list[str]:
    """What the session told last, for as long as it is news."""
    if not picture.notices:
        return []
    told_ns, text = picture.notices[-1]
    is_news = picture.recorded or picture.now_ns - told_ns < NEWS_NS
    return [_fit(f"! {text}", width)] if is_news else []


def cost(picture: Picture) -> str:
    """What the tracer takes; of a recording nobody knows that any more."""
    if picture.recorded:
        return "a recording"
    share = "-" if picture.cpu is None else f"{picture.cpu:.1%}"
    programs = "" if picture.taken else " (kernel: -)"
    return f"cost: {share} of a CPU, {picture.memory_mb:.0f} MB{programs}"


def taken(cost: KernelCost) -> str:
    """What the programs took of the machine, and for each event that they saw."""
    if not cost.span_ns:
        return "measured from now on"
    share = cost.run_ns / cost.span_ns
    run, event = (
        f"{cost.run_ns / count:.0f} ns" if count else "-" for count in (cost.runs, cost.seen)
    )
    runs = cost.runs * 1e9 / cost.span_ns
    return f"{share:.2%} of a CPU, {run} a run, {event} an event; {runs:.0f} runs/s (K ends)"


def curve(values: list[float], length: int, glyphs: Glyphs) -> str:
    """The last values as a little curve, its highest the highest of them."""
    shown = values[-length:]
    most = max(shown, default=0.0)
    steps = len(glyphs.curve) - 1
    heights = [-(-int(value * steps) // max(1, int(most))) if most else 0 for value in shown]
    return "".join(glyphs.curve[min(steps, height)] for height in heights).rjust(length)


def bar(part: int, whole: int, length: int) -> str:
    """`[####......]`: how full."""
    filled = min(length, round(length * part / whole)) if whole else 0
    return f"[{'#' * filled}{'.' * (length - filled)}]"


def _counter(one: Counter) -> str:
    return f"{one.name} +{per_second(one.rate or 0)}" + (" !" if one.trouble else "")


def clock(span_ns: int) -> str:
    """Minutes and seconds, and hours where there are any."""
    seconds = span_ns // 10**9
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def flow(begin: str, cells: list[str], width: int, gap: str = "  ") -> list[str]:
    """Cells side by side, in as many lines as it takes."""
    lines = [begin]
    for cell in cells:
        if len(lines[-1]) + len(cell) > width and lines[-1].strip():
            lines.append(" " * len(begin))
        lines[-1] += cell + gap
    return [line.rstrip() for line in lines]


def _apart(left: str, right: str, width: int) -> str:
    room = width - len(right) - 1
    return f"{_fit(left, room):{max(1, room)}} {right}"


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 1)] + "~"


def summary(picture: Picture, width: int = 100) -> list[str]:
    """What stays in the scrollback: of all, whatever was shown last."""
    wrong, text = picture.verdict
    return [
        head(picture, width),
        f"{'! ' if wrong else ''}{text}",
        *_strip(picture.all_sockets, width),
        *([f"kernel: {taken(picture.taken)}"] if picture.taken else []),
        picture.proof,
    ]
