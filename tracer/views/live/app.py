"""The full screen: Textual draws what the session's thread pictures, and reads the keys."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from tracer.views.live import draw
from tracer.views.live.browse import Browser
from tracer.views.live.panes import PANES
from tracer.views.live.picture import Picture
from tracer.views.tables import table

Trace = Callable[[Callable[[Picture], None]], None]
HELP = """\
q quit; a summary stays      space pause the picture, not the gathering
{panes} tab  choose a pane       s sort by the next column   r reverse
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
        yield Static(
            Text(HELP.format(panes=" ".join(str(pane.number) for pane in PANES))), id="help"
        )


class LiveApp(App[None]):
    """Shows pictures. `trace` runs in a thread of its own and calls back with each.

    `want` is told which subjects the pane needs that is shown.
    """

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
        *(Binding(str(pane.number), f"pane({pane.number})", show=False) for pane in PANES),
    ]

    def __init__(
        self,
        trace: Trace,
        end: Callable[[], None],
        glyphs: draw.Glyphs,
        want: Callable[[frozenset[str]], None] = lambda subjects: None,
    ) -> None:
        super().__init__(ansi_color=True)
        self._want = want
        self._trace, self._end, self._glyphs = trace, end, glyphs
        self.picture: Picture | None = None
        self.error: BaseException | None = None
        self._browsers = {pane.number: Browser(pane) for pane in PANES}
        self._browser = self._browsers[PANES[0].number]
        self._paused: Picture | None = None
        self._tail = True

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
        for pane in PANES:
            name = f"{pane.number} {pane.name}"
            text.append(f"[{name}] " if pane is self._browser.pane else f" {name}  ")
        if self._paused and self.picture:
            behind = (self.picture.now_ns - self._paused.now_ns) // 10**9
            text.append(f" PAUSED, {behind} s behind", style="bold")
        return text

    def _rows(self, picture: Picture, width: int, height: int) -> Text:
        """The pane's table: as many rows as there is room for, the selected one among them."""
        browser = self._browser
        source = browser.pane.table(picture)
        browser.take(source)
        shown = browser.in_view(max(1, height - 1))
        selected = browser.place()
        head, *lines = table(browser.pane.headings, source.cells(shown), width)
        text = Text(head[:width], style="bold", no_wrap=True)
        for place, line in zip(shown, lines, strict=True):
            text.append("\n")
            if place == selected:
                text.append(f"{line[:width]:{width}}", "reverse")
            else:
                text.append(line[:width], "bold" if source.wrong(place) else "")
        return text

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
        numbers = [pane.number for pane in PANES]
        if not number:
            at = numbers.index(self._browser.pane.number) + 1
            number = numbers[at % len(numbers)]
        self._browser.let_go()
        self._browser = self._browsers[number]
        self._want(frozenset(self._browser.pane.attaches))
        self._draw()

    def action_sort(self) -> None:
        """Sort by the next column that can be sorted by; after the last, by trouble."""
        self._browser.sort_next()
        self._draw()

    def action_reverse(self) -> None:
        """The other way round."""
        self._browser.reverse()
        self._draw()

    def action_events(self) -> None:
        """Show the tail of events, or not."""
        self._tail = not self._tail
        self._draw()

    def action_move(self, step: int) -> None:
        """Select the next row, or the one before; the selection follows its row."""
        self._browser.move(step)
        self._draw()

    def action_unselect(self) -> None:
        """Let go of the row."""
        self._browser.let_go()
        self._draw()
