"""A tcptrace on a terminal of its own, made by tmux: what is on it can be read, keys be pressed."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness import COMMAND, ROOT, wait_until


class Screen:
    """A tcptrace on a terminal of its own."""

    def __init__(self, path: Path, size: tuple[int, int], *arguments: str, env: str = "") -> None:
        self._socket, self.status = str(path / "tmux"), path / "status"
        # pytest and textual leave them behind; they are of another terminal
        command = f"unset COLUMNS LINES; {env} {shlex.join([*COMMAND, *arguments])}"
        line = f"trap : INT; {command}; echo $? > {self.status}; cat"
        self._tmux(
            *("new-session", "-d", "-x", str(size[0]), "-y", str(size[1])),
            *("-c", str(ROOT), f"sh -c {shlex.quote(line)}"),
        )

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", self._socket, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def text(self) -> str:
        """What is on it now."""
        return self._tmux("capture-pane", "-p")

    def styled(self) -> str:
        """The same with its escape sequences."""
        return self._tmux("capture-pane", "-p", "-e")

    def resize(self, size: tuple[int, int]) -> None:
        self._tmux("resize-window", "-x", str(size[0]), "-y", str(size[1]))

    def type(self, prompt: str, text: str) -> None:
        """Press a key that asks for a line, and answer."""
        self.press(prompt)
        self.wait_for(r"(?m)^(/|filter:).*\s*\Z", "the line to type into")
        self.press("-l", text)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def wait_for(self, pattern: str, what: str) -> re.Match[str]:
        try:
            found: re.Match[str] = wait_until(lambda: re.search(pattern, self.text()), what)
        except AssertionError as error:
            raise AssertionError(f"{error}; what there is:\n{self.text()}") from None
        return found

    def wait_for_row(self, pattern: str) -> None:
        """Until the row that is selected has this, and no line is typed into any more."""

        def selected() -> bool:
            *lines, last = self.styled().rstrip("\n").split("\n")
            rows = [line for line in lines if re.search(r"\x1b\[[0-9;]*7m", line)]
            return any(re.search(pattern, row) for row in rows) and "\x1b[7m" not in last

        wait_until(selected, f"the row of {pattern} to be selected")

    def tracer_pid(self) -> int:
        """The process that draws it: a child of the terminal's shell."""
        shell = int(self._tmux("display-message", "-p", "#{pane_pid}"))
        (found,) = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
        return int(found)

    def exit_status(self) -> int:
        """Of tcptrace, once it has ended."""
        wait_until(lambda: self.status.exists() and self.status.read_text(), "it to end")
        return int(self.status.read_text())

    def close(self) -> None:
        self._tmux("kill-server")


@contextmanager
def screen(path: Path, size: tuple[int, int], *arguments: str, env: str = "") -> Iterator[Screen]:
    made = Screen(path, size, *arguments, env=env)
    try:
        yield made
    finally:
        made.close()


def running(name: str) -> list[str]:
    """Tracers that still run and have this among their words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"tracer" in words and name.encode() in words:
            found.append(path.parent.name)
    return found
