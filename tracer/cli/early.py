"""What a look needs of the kernel, made ready while Python imports what shows it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tracer.kernel.snapshot import SnapshotSource


def begin(*, queues: bool = False, inodes: bool = False) -> Callable[[], SnapshotSource]:
    """Load the iterators on a thread of their own; what is returned waits for it.

    It raises what loading raised. Arguments: see SnapshotSource.
    """
    found: list[SnapshotSource] = []
    failed: list[BaseException] = []

    def load() -> None:
        try:
            found.append(SnapshotSource(queues, inodes))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()

    def result() -> SnapshotSource:
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    return result
