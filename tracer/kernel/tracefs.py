"""tracefs, where classic tracepoints have their numbers.

Most systems mount it at /sys/kernel/tracing. Where it is not, it is mounted in a mount namespace
that only one thread of ours ever sees and that ends with it: nothing is left on the machine.
"""

from __future__ import annotations

import ctypes as C
import os
import threading
from collections.abc import Callable
from pathlib import Path

from tracer.errors import NotPermittedError

TRACEFS = Path("/sys/kernel/tracing")
WHERE = (str(TRACEFS), "/sys/kernel/debug/tracing")  # where libbpf looks
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 16384, 1 << 18


def is_mounted() -> bool:
    """Tell whether it is mounted, readable by this process or not."""
    with open("/proc/self/mounts") as mounts:
        return any(line.split()[1] in WHERE and line.split()[2] == "tracefs" for line in mounts)


def event(tracepoint: str) -> Path:
    """The folder of `category/event`, where it is or would be."""
    folders = [Path(root) / "events" / tracepoint for root in WHERE]
    return next((folder for folder in folders if (folder / "id").exists()), folders[0])


def reach(work: Callable[[], object]) -> None:
    """Run `work` where tracefs can be seen. Errors: NotPermittedError, and those of `work`."""
    if is_mounted():
        work()
        return
    failure: list[BaseException] = []

    def body() -> None:
        try:
            _mount_privately()
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def _mount_privately() -> None:
    libc = C.CDLL(None, use_errno=True)
    steps: tuple[Callable[[], int], ...] = (
        lambda: libc.unshare(_CLONE_NEWNS),
        lambda: libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None),
        lambda: libc.mount(b"tracefs", os.fsencode(TRACEFS), b"tracefs", 0, None),
    )
    for step in steps:
        if step():
            raise NotPermittedError(
                f"tracefs is not mounted and cannot be: {os.strerror(C.get_errno())}",
                f"mount it: mount -t tracefs tracefs {TRACEFS}",
            )
