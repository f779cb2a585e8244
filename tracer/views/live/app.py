"""The full screen: Textual draws what the session's thread pictures, and reads the keys."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.geometry import Size
from textual.widgets import Static

from tracer.errors import TracerError
from tracer.views import finding_lines
from tracer.views.live import copying, draw, paint, story
from tracer.views.live.browse import Browser
from tracer.views.live.dialogs import EDGES, HELP, Asking, Reading
from tracer.views.live.narrow import Narrowing
from tracer.views.live.panes import PANES, advice
from tracer.views.live.panes.advice import ADVICE_PANE
from tracer.views.live.picture import Picture
from tracer.views.live.terminal import Terminal
from tracer.wire.filters import Filters

Take = Callable[[Picture], None]
MESSAGE_S = 4.0  # what a key came to is said for so long, unless another is pressed
END_S = 10.0
INTERVALS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


@dataclass
class Remote:
    """What the screen can ask of whoever makes the pictures; each from the screen's thread.

    `run` takes the session's thread and ends with it. `read_filters` raises TracerError.
    """

    run: Callable[[Take], None]
    end: Callable[[], None]
    hang_up: Callable[[], None]  # there is no screen any more; ends the process
    narrow: Callable[[Narrowing], Picture]
    read_filters: Callable[[str], Filters]
    zero_peaks: Callable[[], None]
    set_interval: Callable[[float], None]
    doctor: Callable[[], str]
    want: Callable[[frozenset[str]], None]  # the subjects that the pane in view needs
    explain: Callable[[str], str]  # what a name means; nothing where it is not known
    price: Callable[[], bool] = lambda: False  # measure the programs, or no more: whether it does
    seek: Callable[[int], None] = lambda span_ns: None  # a recording, to so long after its begin
    tell: Callable[[str], None] = lambda text: None  # in the last lines
    record: Callable[[], str] = lambda: ""  # into a file, or no more: what there is to say
    recording: Callable[[], str] = lambda: ""  # the file, while it goes on
    takes_clipboard: Callable[[], bool] = copying.takes_clipboard
    recorded: bool = False


class Lines(Static):
    """Lines that are drawn again only if they have changed, and laid out only if their number."""

    _shown: Text | None = None

    def put(self, text: Text) -> None:
        """Show these."""
        if self._shown is None or text != self._shown:
            before, self._shown = self._shown, text
            count = text.plain.count("\n")
            self.update(text, layout=before is None or before.plain.count("\n") != count)


class LiveApp(App[None]):
    """Shows pictures, as they come, and what the keys ask for."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #top, #bottom, #tail { height: auto; }
    #pane { height: 1fr; }
    Reading { align: center middle; background: transparent; }
    #reading { width: auto; max-width: 100%; height: auto; max-height: 100%; border: ascii; }
    #reading Static { width: auto; }
    Asking { align: left bottom; background: transparent; layout: horizontal; }
    #begin { width: auto; height: 1; text-style: bold; dock: none; }
    #line { width: 1fr; height: 1; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", show=False, priority=True),
        *(
            Binding(keys, action, show=False)
            for keys, action in (
                ("q", "leave"),
                ("question_mark", "help"),
                ("space", "pause"),
                ("tab", "pane(0)"),
                ("s", "sort"),
                ("r", "reverse"),
                ("e", "events"),
                ("A", "expected"),
                ("slash", "search"),
                ("n", "next(1)"),
                ("N", "next(-1)"),
                ("p", "previous"),
                ("f", "filter"),
                ("o", "process"),
                ("enter", "open"),
                ("escape", "go_back"),
                ("y", "copy"),
                ("J", "copy_json"),
                ("w", "write"),
                ("R", "record"),
                ("z", "zero"),
                ("a", "pane(8)"),
                ("d", "doctor"),
                ("x", "explain"),
                ("K", "price"),
                ("plus,equals_sign", "interval(1)"),
                ("minus", "interval(-1)"),
                ("less_than_sign,comma", "seek(-1)"),
                ("greater_than_sign,full_stop", "seek(1)"),
                ("j,down,right_square_bracket", "move(1)"),
                ("k,up,left_square_bracket", "move(-1)"),
                ("pagedown", "move(10)"),
                ("pageup", "move(-10)"),
                ("home", "move(-1000000000)"),
                ("end", "move(1000000000)"),
                *((str(number), f"pane({number})") for number in range(1, 10)),
            )
        ),
    ]

    def __init__(self, remote: Remote, glyphs: draw.Glyphs) -> None:
        super().__init__(driver_class=Terminal, ansi_color=True)
        self._remote = remote
        self.picture: Picture | None = None
        self.error: BaseException | None = None
        self._browsers = {pane.number: Browser(pane) for pane in PANES}
        self._look = paint.Look(glyphs, self._browsers[PANES[0].number])
        self._paused: Picture | None = None
        self._typed = ""
        self._story: list[str] = []
        self._said_at = 0.0
        self._room = Size(80, 24)
        self._sought_ns: int | None = None  # of a recording: how far from its begin

    def compose(self) -> ComposeResult:
        """Lines above, one table, lines below."""
        with Vertical():
            yield Lines(id="top")
            yield Lines(id="pane")
            yield Lines(id="tail")
            yield Lines(id="bottom")

    def on_mount(self) -> None:
        """Begin to trace: the screen is there before the programs are."""
        first = "tcptrace  reading ..." if self._remote.recorded else "tcptrace  attaching ..."
        self.query_one("#top", Lines).put(Text(first))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._remote.run(lambda picture: self.call_from_thread(self._take, picture))
        except BaseException as error:
            self.error = self.error or error
        with suppress(RuntimeError):  # it has been left already
            self.call_from_thread(self.exit)

    def _handle_exception(self, error: Exception) -> None:
        """What went wrong in drawing ends the session, and is told as all errors are."""
        self.error = self.error or error
        self._remote.end()
        self.exit()

    def hung_up(self) -> None:
        """The terminal has gone. From another thread."""
        self._remote.hang_up()

    def wait(self) -> None:
        """Until the session has ended, and everything is detached."""
        self._thread.join(END_S)

    def _take(self, picture: Picture) -> None:
        self.picture = picture
        fresh = time.monotonic() < self._said_at + MESSAGE_S
        self._draw(self._look.message if fresh else "")

    # --- drawing --------------------------------------------------------------

    def _shown(self) -> Picture | None:
        return self._paused or self.picture

    def _draw(self, message: str = "") -> None:
        self._look.message, self._look.recording = message, self._remote.recording()
        picture, look = self._shown(), self._look
        if picture is None or self.picture is None:
            return
        look.behind_s = None
        if self._paused:
            look.behind_s = (self.picture.now_ns - self._paused.now_ns) // 10**9
        base = self.screen_stack[0]
        parts = {name: base.query_one(f"#{name}", Lines) for name in ("top", "pane", "bottom")}
        tail = base.query_one("#tail", Lines)
        width, height = self._room
        look.tall = height >= paint.TALL
        parts["bottom"].put(paint.bottom(picture, look, width))
        if look.opened is not None:
            parts["top"].display = tail.display = False
            room = height - len(paint.as_text([paint.bottom(picture, look, width)]))
            text, self._story = paint.opened(picture, look, width, room)
            parts["pane"].put(text)
            return
        parts["top"].display = True
        events = paint.tail(picture, look, width, height)
        tail.put(events)
        tail.display = bool(events.plain)  # an empty one would take a line
        self._draw_pane(picture, parts, events, (width, height))

    def _draw_pane(
        self, picture: Picture, parts: dict[str, Lines], events: Text, size: tuple[int, int]
    ) -> None:
        """The top names what is in view: it is made once more when that is known."""
        width, height = size
        look = self._look
        others = [paint.top(picture, look, width), events, paint.bottom(picture, look, width)]
        room = height - len(paint.as_text(others))
        parts["pane"].put(paint.pane(picture, look, width, room))
        parts["top"].put(paint.top(picture, look, width))

    def on_resize(self, event: Resize) -> None:
        """Another size, other columns."""
        self._room = event.size  # self.size still has the one before
        self._draw(self._look.message)

    def _say(self, text: str) -> None:
        self._said_at = time.monotonic()
        self._draw(text)

    # --- keys: where one is ---------------------------------------------------

    def action_leave(self) -> None:
        """End the session; the screen goes when it has ended."""
        self._remote.end()

    def action_help(self) -> None:
        """Say what the keys do."""
        found = [f"{pane.number} {pane.name}" for pane in PANES]
        names = "  ".join(found[:3]) + f"\n{' ' * 8}" + "  ".join(found[3:])
        self.push_screen(Reading(HELP.format(panes=names)))

    def action_pause(self) -> None:
        """Hold the picture, or go on."""
        self._paused = None if self._paused else self.picture
        self._draw()

    def action_pane(self, number: int) -> None:
        """Show a pane: by its number, or the next one."""
        numbers = [pane.number for pane in PANES]
        if number and number not in numbers:
            self._say(f"no pane is {number}: there are {', '.join(map(str, numbers))}")
            return
        if not number:
            at = numbers.index(self._look.browser.pane.number) + 1
            number = numbers[at % len(numbers)]
        self._look.browser.let_go()
        self._look.browser = self._browsers[number]
        self._open(None)
        self._want()
        self._draw()

    def _want(self) -> None:
        """What is in view needs: a connection's history has its dropped packets."""
        opened = self._look.opened is not None
        more = story.ATTACHES if opened else ()
        self._remote.want(frozenset((*self._look.browser.pane.attaches, *more)))

    def action_move(self, step: int) -> None:
        """Select the next row, or the one before; the selection follows its row."""
        if self._look.opened is not None:
            self._look.scrolled += step
        else:
            self._look.browser.move(step)
        self._draw()

    def action_go_back(self) -> None:
        """Leave what was entered last: a connection, the selection, the filter."""
        look = self._look
        if look.opened is not None:
            self._open(None)
            self._want()
        elif look.browser.selected is not None:
            look.browser.let_go()
        elif self.picture is not None and self.picture.narrowing:
            self._narrow(Narrowing())
        self._draw()

    def action_open(self) -> None:
        """A connection's whole history; of a process or a listener, its connections."""
        browser = self._look.browser
        if browser.place() < 0:
            browser.move(0)
        if browser.pane.number == ADVICE_PANE.number:
            self._read_finding()
        elif browser.pane.number != 2:
            self.action_process()
        elif browser.selected is not None:
            self._open(int(browser.selected))
            self._want()
            self._draw()

    def _read_finding(self) -> None:
        """Its evidence, what it means, what helps: all of it, however little room there is."""
        picture = self._shown()
        one = advice.find(picture, self._look.browser.selected) if picture else None
        if one is None:
            self._say("nothing has been found")
            return
        width = min(finding_lines.WIDTH, self._room.width - EDGES)
        self.push_screen(Reading("\n".join(finding_lines.lines(one, width))))

    def _open(self, cookie: int | None) -> None:
        """Show this connection's history, which is kept as long as it is in view; or none."""
        self._look.opened, self._look.scrolled = cookie, 0
        if self.picture is not None:
            whether = cookie is not None and story.is_open(self.picture, cookie)
            self.picture.history.open(cookie or 0, whether)

    def action_previous(self) -> None:
        """The connection before, where one is open."""
        if self._look.opened is not None:
            self.action_next(-1)

    def action_next(self, step: int) -> None:
        """The next hit of the search; of an open connection, the next connection."""
        look = self._look
        if look.opened is not None:
            look.browser.move(step)
            self._open(int(look.browser.selected or look.opened))
            self._draw()
        elif look.search:
            found = look.browser.find(look.search, step)
            self._say(f"/{look.search}" if found else f"no row has {look.search!r}")

    # --- keys: what is shown --------------------------------------------------

    def action_sort(self) -> None:
        """Sort by the next column that can be sorted by; after the last, by trouble."""
        self._look.browser.sort_next()
        self._draw()

    def action_reverse(self) -> None:
        """The other way round."""
        self._look.browser.reverse()
        self._draw()

    def action_events(self) -> None:
        """Show the tail of events, or not."""
        self._look.tail = not self._look.tail
        self._draw()

    def action_expected(self) -> None:
        """Show drops with which nothing is lost as well, or losses alone."""
        self._look.expected = not self._look.expected
        self._draw()

    def action_search(self) -> None:
        """Ask what to look for."""
        self.push_screen(Asking("/", ""), self._search)

    def _search(self, text: str | None) -> None:
        if text:
            self._look.search = text
            self.action_next(1)

    def action_filter(self) -> None:
        """Ask what to show."""
        self.push_screen(Asking("filter: ", self._typed), self._filter)

    def _filter(self, text: str | None) -> None:
        if text is None:
            return
        try:
            filters = self._remote.read_filters(text)
        except TracerError as error:
            self._typed = text
            self._say(f"! {error.message}: {error.hint}")
            return
        self._typed = text
        self._narrow(Narrowing(filters))

    def action_process(self) -> None:
        """This row's process alone, in the pane of connections."""
        browser = self._look.browser
        if browser.table is None or browser.place() < 0:
            self._say("no row is selected: up and down select one")
            return
        owner = browser.table.owner(browser.place())
        if owner is None:
            self._say("this row has no process")
            return
        filters = self.picture.narrowing.filters if self.picture else Filters()
        self._narrow(Narrowing(filters, owner))
        self.action_pane(2)

    def _narrow(self, narrowing: Narrowing) -> None:
        if self.picture is None:
            return
        self._paused = None
        self.picture = self._remote.narrow(narrowing)
        self._draw()

    def action_zero(self) -> None:
        """Peaks count from now on."""
        self._remote.zero_peaks()
        self._say("peaks count from now on")

    def action_interval(self, step: int) -> None:
        """The next longer interval, or the next shorter one."""
        if self._remote.recorded:
            self._say("a recording has no interval")
            return
        at = INTERVALS.index(self._look.every_s) + step
        self._look.every_s = INTERVALS[max(0, min(len(INTERVALS) - 1, at))]
        self._remote.set_interval(self._look.every_s)
        self._say(f"a picture every {self._look.every_s:g} s")

    def action_seek(self, step: int) -> None:
        """A twentieth of a recording back or on, at least a second."""
        picture = self.picture
        if picture is None or not picture.recorded:
            self._say("< and > move through a recording")
            return
        step_ns = max(picture.whole_ns // 20, 1_000_000_000)
        before = picture.span_ns if self._sought_ns is None else self._sought_ns
        self._sought_ns = max(0, min(picture.whole_ns, before + step * step_ns))
        self._remote.seek(self._sought_ns)

    # --- keys: what goes out --------------------------------------------------

    def _text(self) -> str:
        picture, look = self._shown(), self._look
        if picture is None:
            return ""
        if look.opened is not None:
            return "\n".join([draw.head(picture, 100), *self._story]) + "\n"
        width, height = self._room
        parts = [paint.top(picture, look, width), paint.pane(picture, look, width, height)]
        parts += [paint.tail(picture, look, width, height)]
        return "\n".join([*paint.as_text(parts), *draw.foot(picture, width)]) + "\n"

    def action_copy(self) -> None:
        """Copy what is shown, as text."""
        self._copy(self._text(), ".txt")

    def action_copy_json(self) -> None:
        """Copy the open connection's events."""
        picture = self._shown()
        found = story.tell(picture, self._look.opened or 0) if picture else None
        if picture is None or found is None:
            self._say("J copies the events of a connection: enter opens one")
            return
        self._copy(copying.as_json(found, picture.facts), ".jsonl")

    def _copy(self, text: str, ending: str) -> None:
        if self._remote.takes_clipboard():
            self.copy_to_clipboard(text)
            self._say(f"{len(text)} characters went to the clipboard (OSC 52)")
        else:
            self._say(f"this terminal has no clipboard: {copying.into_file(text, ending)}")

    def action_write(self) -> None:
        """Write what is shown to a file."""
        self._say(copying.into_file(self._text(), ".txt"))

    def action_record(self) -> None:
        """Keep what happens from now on in a file, or end that."""
        if self._remote.recorded:
            self._say("this is a recording already")
        else:
            self._say(self._remote.record())

    def action_price(self) -> None:
        """Have the kernel measure what the programs take, or no more."""
        if self._remote.recorded:
            self._say("what the programs took is not measured any more: this is a recording")
        elif self._remote.price():
            self._say("the kernel measures its programs: +20 ns a run of any on the machine")
        else:
            self._say("the kernel no longer measures its programs for us")

    def action_explain(self) -> None:
        """Say what the name means that matters most in the row, or in the open connection."""
        look, picture = self._look, self._shown()
        if picture is not None and look.opened is not None:
            found = story.tell(picture, look.opened)
            term = found.state if found is not None and found.open_ns is not None else ""
        else:
            table, browser = look.browser.table, look.browser
            if browser.place() < 0:
                browser.move(0)
            term = table.term(browser.place()) if table and browser.place() >= 0 else ""
        text = self._remote.explain(term) if term else ""
        if text:
            self.push_screen(Reading(text))
        else:
            self._say("x explains a row's state, reason, outcome or counter: none is here")

    def action_doctor(self) -> None:
        """What is attached how, and what is missing."""
        self.push_screen(Reading(self._remote.doctor()))
