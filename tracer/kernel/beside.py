"""Work of the kernel's that is done beside other work of the kernel's: calls release the GIL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Beside(Generic[Result]):
    """Runs `work` on a thread of its own from now on."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._made: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._made.append(self._work())
        except BaseException as error:
            self._error = error

    @property
    def is_done(self) -> bool:
        """Whether `result` comes at once."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Until it is done, well or not."""
        self._thread.join()

    def result(self) -> Result:
        """What it made, once it is done. Errors: those of `work`."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made[0]
