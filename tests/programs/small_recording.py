"""Make tests/golden/screens.rec.gz anew: `python -m tests.programs.small_recording`, as root.

Real traffic of known counts in a namespace of its own, recorded by tcptrace; then all that is of
this machine and not of that traffic is taken out, so that the file is small and tells of nothing
else. Screens made from it are compared with text files (tests/kernel/test_screens.py).
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.harness import ROOT, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tracer.wire.batch import view
from tracer.wire.head import Head
from tracer.wire.recording import Frame, Writer, read

MADE = ROOT / "tests" / "golden" / "screens.rec.gz"
HOSTILE = "\x1b[31m[b]x\n"
LEFT, HELD, FULL, ENDED = 5, 7, 3, 11
PAUSES_US = [300_000] * 8
STATS_EVERY = 20
Keys = set[tuple[int, int]]


def make(path: Path) -> None:
    """Record some seconds of it."""
    with ExitStack() as stack:
        ns = stack.enter_context(namespace())
        server = stack.enter_context(server_in(ns))
        lazy = stack.enter_context(server_in(ns, PORT + 1))
        lazy.do("listen", name="l", backlog=FULL - 1)
        client = stack.enter_context(Program("tt-client", ns.enter))
        odd = stack.enter_context(Program(HOSTILE, ns.enter))
        tracer = stack.enter_context(
            Tracer("record", "--kind", "all", "--netns", ns.name, str(path), json=False)
        )
        client.do("hold", address=ADDRESS, port=PORT, count=LEFT)
        server.do("accept_waiting", listener="l")
        client.do("let_go")  # the server does not: CLOSE_WAIT
        odd.do("hold", address=ADDRESS, port=PORT, count=HELD)
        server.do("accept_waiting", listener="l")
        odd.do("send_all")
        client.do("hold", address=ADDRESS, port=PORT + 1, count=FULL)
        for _ in range(ENDED):
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            client.do("close", name="c")
            server.do("close", name="s")
        client.do("hold", address=ADDRESS, port=PORT + 2, count=2)  # refused
        client.do("connect_timed", address=ADDRESS, port=PORT, pauses_us=PAUSES_US)
        server.do("accept_waiting", listener="l")  # they have waited for known spans
        tracer.stop()


def trimmed(path: Path) -> Iterator[Frame]:
    """Frames without what other processes of the machine did and are."""
    with path.open("rb") as file:
        frames = list(read(file, str(path)))
    head = Head.from_bytes(bytes(frames[0].data))
    wanted = _owners(frames, head)
    stats = [i for i, frame in enumerate(frames) if frame.tag == "STAT"]
    kept_stats = {*stats[::STATS_EVERY], *stats[-1:]}
    for i, frame in enumerate(frames):
        if frame.tag == "HEAD":
            shown = replace(head, host="web-03", kernel="6.18", filters={"NETNS": "--netns web"})
            yield Frame("HEAD", shown.to_bytes())
        elif frame.tag == "TASK":
            rows = np.frombuffer(frame.data, head.layout.dtypes["task_row"])
            yield Frame("TASK", rows[_are(rows, wanted)])
        elif frame.tag == "CGRP":
            yield Frame("CGRP", json.dumps({}).encode())
        elif frame.tag == "LARG":
            yield from _large(frame, head, wanted)
        elif frame.tag != "STAT" or i in kept_stats:
            yield frame


def _owners(frames: list[Frame], head: Head) -> Keys:
    """Processes that have a socket or a record in it."""
    found: Keys = set()
    for frame in frames:
        name = {"SOCK": "sock_row", "LSTN": "listener_row"}.get(frame.tag)
        if name:
            rows = np.frombuffer(frame.data, head.layout.dtypes[name])
        elif frame.tag == "SMAL":
            data = np.frombuffer(frame.data, np.uint8)
            rows = view(data, head.encoding["SMAL"], head.layout.dtypes["state"])
        else:
            continue
        found |= set(zip(rows["pid"].tolist(), rows["start"].tolist(), strict=True))
    return found


def _are(rows: np.ndarray[tuple[int], np.dtype[np.void]], wanted: Keys) -> list[bool]:
    keys = zip(rows["pid"].tolist(), rows["start"].tolist(), strict=True)
    return [key in wanted for key in keys]


def _large(frame: Frame, head: Head, wanted: Keys) -> Iterator[Frame]:
    """Records of others name them alone: births and ends of processes."""
    encoding = head.encoding["LARG"]
    data = np.frombuffer(frame.data, np.uint8)
    records = view(data, encoding, head.layout.dtypes["large"])
    is_task = records["kind"] == head.layout.enums["kind"]["TASK"]
    kept = ~is_task | _are(records, wanted)
    if kept.any():
        yield Frame("LARG", data.reshape(-1, encoding.stride)[kept].tobytes())


def keep(make: Callable[[Path], None], made: Path) -> None:
    """Make one, and say how large it is."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "all.rec"
        make(path)
        small = Path(directory) / "small.rec"
        writer = Writer(small)
        for frame in trimmed(path):
            writer.write(frame)
        writer.close()
        made.write_bytes(gzip.compress(small.read_bytes(), mtime=0))
    print(f"{made}: {made.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    keep(make, MADE)
