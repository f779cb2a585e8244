"""A picture as styled lines, for a screen of some size: bold, reverse and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.text import Text

from tracer.views.live import draw, story, waits
from tracer.views.live.browse import Browser
from tracer.views.live.panes import PANES
from tracer.views.live.picture import Picture
from tracer.views.tables import Heading, table

TALL = 36  # from here on there is room for a tail of events
TAIL_LINES = 8


@dataclass
class Look:
    """What the person at the keys has chosen to see."""

    glyphs: draw.Glyphs
    browser: Browser
    behind_s: int | None = None  # paused; None: it goes on
    tail: bool = True
    message: str = ""
    search: str = ""
    recording: str = ""  # the file that what happens is kept in
    opened: int | None = None  # the connection, by cookie
    scrolled: int = 0
    every_s: float = 1.0
    tall: bool = False  # TALL lines or more
    expected: bool = False  # drops with which nothing is lost are shown


def plain(text: str, glyphs: draw.Glyphs) -> str:
    """As the terminal can show it: what is not ASCII is written out where it can show no more."""
    return text.encode("ascii", "backslashreplace").decode() if glyphs.ascii else text


def top(picture: Picture, look: Look, width: int) -> Text:
    """Header, verdict, strips, and the names of the panes."""
    rule = look.glyphs.rule * width
    wrong, verdict = draw.worst(picture, width)
    text = Text(no_wrap=True)
    head = draw.head(picture, width, look.every_s, look.behind_s)
    text.append(plain(head, look.glyphs) + "\n", "bold" if look.behind_s is not None else "")
    text.append(plain("\n".join(verdict), look.glyphs) + "\n", style="bold" if wrong else "")
    strips = [
        *draw.narrowed(picture, width),
        rule,
        *draw.sockets(picture, width),
        *draw.rates(picture, width, look.glyphs),
        *(waits.lines(picture, width) if look.tall and width >= draw.WIDE else ()),
        *draw.counters(picture, width),
        _order(look, width),
    ]
    text.append(plain("\n".join(strips), look.glyphs) + "\n")
    text.append_text(_tabs(look, width))
    return text


def _order(look: Look, width: int) -> str:
    """A rule that says which rows are in view, and in what order."""
    browser = look.browser
    count = len(browser.table) if browser.table else 0
    text = f" by {browser.sorted_by()}  {browser.first}-{browser.last} of {count} "
    return look.glyphs.rule * max(0, width - len(text) - 1) + text + look.glyphs.rule


def _tabs(look: Look, width: int) -> Text:
    text = Text(no_wrap=True)
    names = [f"{pane.number} {pane.name}" for pane in PANES]
    if sum(len(name) + 2 for name in names) > width:
        names = [f"{pane.number} {pane.short or pane.name}" for pane in PANES]
    for pane, name in zip(PANES, names, strict=True):
        if pane is look.browser.pane:
            text.append(f"[{name}]", style="bold")
        else:
            text.append(f" {name} ")
    return text


def pane(picture: Picture, look: Look, width: int, height: int) -> Text:
    """The pane's table: as many rows as there is room for, the selected one among them."""
    browser = look.browser
    picture = replace(picture, expected=look.expected)
    source = browser.pane.table(picture)
    browser.take(source)
    under = _below(picture, look, width, height - 1)
    shown = browser.in_view(max(1, height - 1 - len(under)))
    selected = browser.place()
    known = [i for i in range(len(browser.pane.headings)) if i not in source.missing()]
    cells = [[plain(row[i], look.glyphs) for i in known] for row in source.cells(shown)]
    headings = _marked(browser)
    head, *lines = table([headings[i] for i in known], cells, width)
    text = Text(head[:width], style="bold", no_wrap=True)
    for place, line in zip(shown, lines, strict=True):
        text.append("\n")
        if place == selected:
            text.append(f"{line[:width]:{width}}", "reverse")
        else:
            text.append(line[:width], "bold" if source.wrong(place) else "")
    if not lines:
        text.append("\n" + _nothing(picture))
    gap = max(0, height - 1 - max(1, len(lines)) - len(under))
    text.append("".join("\n" + line for line in [*[""] * gap, *under] if under))
    return text


def _below(picture: Picture, look: Look, width: int, height: int) -> list[str]:
    """What the pane says of a row, under a rule: it takes what the rows' share leaves."""
    browser = look.browser
    if browser.pane.below is None or browser.table is None:
        return []
    room = height - min(max(1, len(browser.table)), max(3, int(height * browser.pane.share))) - 1
    lines = browser.pane.below(picture, browser.selected, width, max(0, room))
    if not lines or room < 1:
        return []
    found = [look.glyphs.rule * width, *(line[:width] for line in lines[:room])]
    return [plain(line, look.glyphs) for line in found]


def _marked(browser: Browser) -> list[Heading]:
    """Headings; the one that is sorted by is marked."""
    spares = browser.table.spares() if browser.table else {}
    found = [
        replace(heading, spare=spares.get(at, heading.spare))
        for at, heading in enumerate(browser.pane.headings)
    ]
    if browser.column is not None:
        heading = found[browser.column]
        mark = "^" if browser.reversed else "v"
        found[browser.column] = replace(heading, title=f"{heading.title}{mark}")
    return found


def _nothing(picture: Picture) -> str:
    return "nothing passes the filter (esc clears it)" if picture.narrowing else "none"


def opened(picture: Picture, look: Look, width: int, height: int) -> tuple[Text, list[str]]:
    """One connection: as much of its story as there is room for; and all of it, to be copied."""
    found = story.tell(picture, look.opened or 0)
    if found is None:
        return Text("nothing is known of it any more"), []
    lines = story.as_lines(found, picture.facts, width, look.glyphs.full)
    lines = [plain(line, look.glyphs) for line in lines]
    look.scrolled = max(0, min(look.scrolled, len(lines) - height))
    first, *rest = lines[look.scrolled : look.scrolled + height]
    text = Text(first[:width], style="bold", no_wrap=True)
    for line in rest:
        text.append("\n" + line[:width])
    return text, lines


def tail(picture: Picture, look: Look, width: int, height: int) -> Text:
    """The last events, on screens that have room for them."""
    text = Text(no_wrap=True)
    if not look.tail or width < draw.WIDE or height < TALL:
        return text
    of = f" of what passes: {picture.narrowed}" if picture.narrowed else ""
    head = f"EVENTS, newest last{of}  (e hides)"
    text.append(f"{look.glyphs.rule * width}\n{plain(head, look.glyphs)[:width]}\n")
    lines = picture.tail[-TAIL_LINES:]
    text.append("\n".join(plain(line, look.glyphs)[:width] for line in lines))
    return text


def bottom(picture: Picture, look: Look, width: int) -> Text:
    """What it costs, what is lost, what is on; keys, or what the last key came to."""
    text = Text(no_wrap=True)
    lines = [look.glyphs.rule * width, *draw.foot(picture, width)]
    text.append(plain("\n".join(lines), look.glyphs) + "\n")
    if look.message:
        text.append(plain(look.message, look.glyphs)[:width], style="bold")
    else:
        text.append(_keys(look, width)[:width])
    return text


MAIN_KEYS = (
    *("q quit", "/ search", "f filter", "s sort", "space pause", "enter open", "tab next"),
    *(
        "? help",
        "a advice",
        "esc back",
        "r reverse",
        "o by process",
        "e events",
        "w write",
        "R record",
        "y copy",
        "x explain",
        "z peaks",
    ),
)
OPENED_KEYS = ("esc back", "n p next, previous", "y copy", "J copy JSON", "x explain", "? help")


def _keys(look: Look, width: int) -> str:
    line = f"R ends {look.recording}  " if look.recording else ""
    for key in OPENED_KEYS if look.opened is not None else MAIN_KEYS:
        if len(line) + len(key) > width:
            break
        line += key + "  "
    return line.rstrip()


def as_text(parts: list[Text]) -> list[str]:
    """What is on the screen, to be written to a file."""
    return [line.rstrip() for part in parts if part.plain for line in part.plain.split("\n")]
