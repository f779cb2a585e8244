"""The full screen: Textual draws what the session's thread pictures, and reads the keys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tracer.views.live import draw
from tracer.views.live.panes import PANES
from tracer.views.live.picture import Picture
from tracer.views.tables import table

Trace = Callable[[Callable[[Picture], None]], None]
HELP = """\
q quit; a summary stays      space pause the picture, not the gathering
1-{panes} tab  choose a pane       s sort by the next column   r reverse
up down j k  move            e events on and off         esc back   ? this help

! worth a look    - unknown, or none    rates are of the last second
Sockets are kept up from their transitions, and set right by a look at all of
them every 10 s at most: what leaves TIME_WAIT shows then.
"""


class Help(ModalScreen[None]):
    """What the keys do."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, "dismiss", show=False) for key in ("escape", "q", "question_mark", "enter")
    ]

    def compose(self) -> ComposeResult:
        """One text."""
        yield Static(Text(HELP.format(panes=len(PANES))), id="help")


class LiveApp(App[None]):
    """Shows pictures. `trace` runs in a thread of its own and calls back with each."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #top, #bottom, #tail { height: auto; }
    #pane { height: 1fr; }
    Help { align: center middle; }
    #help { width: auto; height: auto; border: solid; padding: 1 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", show=False),
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("question_mark", "help", show=False),
        Binding("space", "pause", show=False),
        Binding("tab", "pane(0)", show=False, priority=True),
        Binding("s", "sort", show=False),
        Binding("r", "reverse", show=False),
        Binding("e", "events", show=False),
        *(Binding(key, "move(1)", show=False) for key in ("j", "down")),
        *(Binding(key, "move(-1)", show=False) for key in ("k", "up")),
        Binding("pagedown", "move(10)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("escape", "unselect", show=False),
        *(Binding(str(n), f"pane({n})", show=False) for n in range(1, len(PANES) + 1)),
    ]

    def __init__(self, trace: Trace, end: Callable[[], None], glyphs: draw.Glyphs) -> None:
        super().__init__(ansi_color=True)
        self._trace, self._end, self._glyphs = trace, end, glyphs
        self.picture: Picture | None = None
        self.error: BaseException | None = None
        self._pane = 0
        self._sort: dict[int, int] = {}
        self._reverse: dict[int, bool] = {}
        self._paused: Picture | None = None
        self._tail = True
        self._keys: list[str] = []
        self._selected: str | None = None
        self._top_row = 0

    def compose(self) -> ComposeResult:
        """Lines above, one table, lines below."""
        with Vertical():
            yield Static(id="top")
            yield Static(id="pane")
            yield Static(id="tail")
            yield Static(id="bottom")

    def on_mount(self) -> None:
        """Begin to trace: the screen is there before the programs are."""
        self.query_one("#top", Static).update(Text("tcptrace  attaching ..."))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._trace(lambda picture: self.call_from_thread(self._take, picture))
        except BaseException as error:
            self.error = error
        self.call_from_thread(self.exit)

    def _take(self, picture: Picture) -> None:
        self.picture = picture
        self._draw()

    # --- drawing --------------------------------------------------------------

    def _draw(self) -> None:
        picture = self._paused or self.picture
        if picture is None:
            return
        width, height = self.size
        self.query_one("#top", Static).update(self._top(picture, width))
        pane = self.query_one("#pane", Static)
        pane.update(self._rows(picture, width, pane.size.height))
        self.query_one("#tail", Static).update(self._events(picture, width, height))
        self.query_one("#bottom", Static).update(self._bottom(picture, width))

    def _top(self, picture: Picture, width: int) -> Text:
        rule = self._glyphs.rule * width
        wrong, verdict = draw.worst(picture, width)
        text = Text(no_wrap=True)
        text.append(draw.head(picture, width) + "\n")
        text.append(verdict + "\n", style="bold" if wrong else "")
        text.append(rule + "\n")
        strips = [
            *draw.sockets(picture, width),
            *draw.rates(picture, width, self._glyphs),
            *draw.counters(picture, width),
        ]
        text.append("\n".join([*strips, rule]) + "\n")
        for number, pane in enumerate(PANES):
            name = f"{number + 1} {pane.name}"
            text.append(f"[{name}] " if number == self._pane else f" {name}  ")
        if self._paused and self.picture:
            behind = (self.picture.now_ns - self._paused.now_ns) // 10**9
            text.append(f" PAUSED, {behind} s behind", style="bold")
        return text

    def _rows(self, picture: Picture, width: int, height: int) -> Text:
        """The pane's table: as many rows as there is room for, the selected one among them."""
        pane = PANES[self._pane]
        rows = self._sorted(pane.rows(picture))
        self._keys = [key for key, _ in rows]
        at = self._keys.index(self._selected) if self._selected in self._keys else -1
        room = max(1, height - 1)
        if at >= 0:
            self._top_row = min(max(self._top_row, at - room + 1), at)
        self._top_row = max(0, min(self._top_row, len(rows) - room))
        shown = rows[self._top_row : self._top_row + room]
        cells = [[column.cell(row) for column in pane.columns] for _, row in shown]
        head, *lines = table([column.heading for column in pane.columns], cells, width)
        text = Text(head[:width], style="bold", no_wrap=True)
        for (key, row), line in zip(shown, lines, strict=True):
            style = "reverse" if key == self._selected else "bold" if pane.is_wrong(row) else ""
            text.append("\n")
            text.append(f"{line[:width]:{width}}" if style == "reverse" else line[:width], style)
        return text

    def _sorted(self, rows: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        by = self._sort.get(self._pane, -1)
        key = PANES[self._pane].columns[by].key if by >= 0 else None
        if key is not None:
            by_column = key
            rows = sorted(rows, key=lambda item: -by_column(item[1]))
        return rows[::-1] if self._reverse.get(self._pane) else rows

    def _events(self, picture: Picture, width: int, height: int) -> Text:
        text = Text(no_wrap=True)
        if not self._tail or width < draw.WIDE or height < 36:
            return text
        text.append(f"{self._glyphs.rule * width}\nEVENTS, newest last  (e hides)\n")
        text.append("\n".join(line[:width] for line in picture.tail[-8:]))
        return text

    def _bottom(self, picture: Picture, width: int) -> Text:
        keys = "q quit  tab pane  s sort  r reverse  space pause  e events  ? help"
        lines = [self._glyphs.rule * width, *draw.foot(picture, width), keys[:width]]
        return Text("\n".join(lines), no_wrap=True)

    def on_resize(self) -> None:
        """Another size, other columns."""
        self._draw()

    # --- keys -----------------------------------------------------------------

    def action_leave(self) -> None:
        """End the session; the screen goes when it has ended."""
        self._end()

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(Help())

    def action_pause(self) -> None:
        """Hold the picture, or go on."""
        self._paused = None if self._paused else self.picture
        self._draw()

    def action_pane(self, number: int) -> None:
        """Show a pane: by its number, or the next one."""
        self._pane = number - 1 if number else (self._pane + 1) % len(PANES)
        self._selected, self._top_row = None, 0
        self._draw()

    def action_sort(self) -> None:
        """Sort by the next column that can be sorted by; after the last, by trouble."""
        columns = PANES[self._pane].columns
        by = self._sort.get(self._pane, -1) + 1
        while by < len(columns) and columns[by].key is None:
            by += 1
        self._sort[self._pane] = by if by < len(columns) else -1
        self._draw()

    def action_reverse(self) -> None:
        """The other way round."""
        self._reverse[self._pane] = not self._reverse.get(self._pane)
        self._draw()

    def action_events(self) -> None:
        """Show the tail of events, or not."""
        self._tail = not self._tail
        self._draw()

    def action_move(self, step: int) -> None:
        """Select the next row, or the one before; the selection follows its row."""
        if not self._keys:
            return
        at = self._keys.index(self._selected) if self._selected in self._keys else -1
        self._selected = self._keys[max(0, min(len(self._keys) - 1, at + step))]
        self._draw()

    def action_unselect(self) -> None:
        """Let go of the row."""
        self._selected = None
        self._draw()
