"""What a back end gives to the rest: maps by descriptor, programs that are attached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from tracer.wire.layout import Records


class BpfObject(Protocol):
    """Opened, set up, loaded, attached; `close` takes all of it away again."""

    def choose(self, wanted: Iterable[str]) -> None:
        """Load these programs and no others."""

    def leave_out(self, name: str) -> None:
        """Do not make this map: what is chosen uses it on no road that is left."""

    def resize(self, name: str, entries: int) -> None:
        """Set a map's number of entries, before `load`."""

    def resize_value(self, name: str, size: int) -> None:
        """Set the size of a map's values, before `load`."""

    def preallocate(self, name: str) -> None:
        """Give a hash room for all its entries from the start, before `load`."""

    def entries(self, name: str) -> int:
        """A map's number of entries."""

    def setting(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a constant as a one-element array to write to, before `load`."""

    def load(self) -> None:
        """Have the kernel check and load what was chosen."""

    def variable(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a global as a one-element array over the kernel's own memory, after `load`."""

    def array(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return an array map as an array over the kernel's own memory, after `load`."""

    def map_fd(self, name: str) -> int:
        """File descriptor of a map, after `load`."""

    def program_fd(self, name: str) -> int:
        """File descriptor of a program, after `load`."""

    def skipped(self, program: str) -> int:
        """How often it was to run while it did, where it counts that itself."""

    def attach(self, name: str) -> None:
        """Attach a program."""

    def attach_all(self, names: Iterable[str]) -> None:
        """Attach several programs, in order."""

    def attach_also(self, name: str, target: str) -> None:
        """Attach a program to another target besides its own."""

    def open_iterator(self, name: str) -> int:
        """File descriptor of one pass of an iterator program: read it to its end, close it."""

    def begin_detach(self, only: Iterable[str] | None = None) -> None:
        """Start to take programs off their hooks, all or `only` these."""

    def detach(self) -> None:
        """Take every program off its hook; maps stay readable."""

    def close(self) -> None:
        """Detach and free everything."""
