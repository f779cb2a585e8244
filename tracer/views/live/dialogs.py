"""What lies over the screen for a while: a line to type into, and a text to read."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

EDGES = 4  # a frame, and a bar to scroll by
HELP = """\
WHERE   {panes}
        tab next pane    up down pgup pgdn home end j k [ ]  move
ROWS    enter  open the connection, with its whole history; the finding
        o      this process alone       esc  back, let go, show all
        s      sort by the next column  r    the other way round
        /      search, n N next and previous hit
        f      filter all panes as on the command line: lport=443 pid=7,8
WHEN    space  hold the picture; gathering goes on
        + -    longer and shorter intervals     z  queue peaks from now on
        < >    through a recording, back and on
WHAT    e events on and off   d doctor   A drops that lose nothing as well
        a advice: what is wrong, and what helps   x explain the row
        K what our programs take of the kernel, on and off (+20 ns a run)
OUT     y copy   J copy as JSON   w write the screen to a file   q quit
        R record what happens to a file, on and off

! worth a look   - unknown or none   >= longer than that   v ^ sorted by
Rates are of the last interval. Sockets are kept up from transitions, and
set right by a look at all of them, every 30 s at the latest: what leaves
TIME_WAIT shows then. Rows stay where they are while one is selected.
BY in a history: the owner, if it was on the CPU; else a packet or timer.
"""


class Reading(ModalScreen[None]):
    """A text; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, "leave", show=False)
            for key in ("escape", "q", "question_mark", "enter", "d", "x")
        ),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        """One text, scrolled where it is long."""
        with VerticalScroll(id="reading"):
            yield Static(Text(wrapped(self._text, self.app.size.width - EDGES)))

    def action_leave(self) -> None:
        """Go: once, however often a key is pressed."""
        if self.is_current:
            self.dismiss()


def wrapped(text: str, width: int) -> str:
    """No line longer than that; what goes on in the next stands further in than its begin."""
    found: list[str] = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 8)
        fits = len(line) <= width
        found += [line] if fits else textwrap.wrap(line, width, subsequent_indent=indent)
    return "\n".join(found)


class Asking(ModalScreen[str | None]):
    """A line at the bottom; None if it is left by esc."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]

    def __init__(self, begin: str, value: str) -> None:
        super().__init__()
        self._begin, self._value = begin, value

    def compose(self) -> ComposeResult:
        """What it is for, and the line."""
        yield Static(self._begin, id="begin")
        yield Input(value=self._value, id="line", select_on_focus=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the line."""
        if self.is_current:  # of two keys at once, the first
            self.dismiss(event.value)

    def action_leave(self) -> None:
        """Take nothing."""
        if self.is_current:
            self.dismiss(None)
