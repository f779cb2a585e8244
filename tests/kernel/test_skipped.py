"""Runs of a program that the kernel skips inside another run of it are counted as lost, exactly.

One process resets its connections on the first CPU. Packets that another one sends from the second
are steered there and break into that: they are answered by RSTs too, at the same place in the
kernel, and a program is not run where it is running.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness import Namespace, Tracer, namespace, wait_until

pytestmark = [pytest.mark.kernel, pytest.mark.timers]

PROGRAM = "tt_reset_sent"
SECONDS = 60  # they end by themselves, too

RESETS = """
import os, socket, struct, sys, time
os.sched_setaffinity(0, {0})
end = time.monotonic() + float(sys.argv[1])
with socket.create_server(("127.0.0.1", 0)) as listener:
    while time.monotonic() < end:
        with socket.create_connection(listener.getsockname()):
            taken, _ = listener.accept()
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            taken.close()
"""
KNOCKS = """
import os, socket, sys, time
os.sched_setaffinity(0, {1})
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", 1))
"""


@contextmanager
def running(ns: Namespace, code: str) -> Iterator[None]:
    command = [*ns.enter, sys.executable, "-c", code, str(SECONDS)]
    with subprocess.Popen(command) as process:
        try:
            yield
        finally:
            process.terminate()


def await_missed(tracer: Tracer) -> None:
    """Read as text, and what is new of it: there are very many records."""
    with (tracer.path / "out").open() as file:
        wait_until(lambda: '"missed"' in file.read(), "one to break into another", SECONDS)


@pytest.mark.guest("answer", "tp_btf")  # before 6.10 nothing of the kind breaks in
def test_what_was_told_and_what_was_skipped_inside_another_run_is_all_there_was() -> None:
    with namespace() as ns:
        ns.run("sh", "-c", "echo 1 > /sys/class/net/lo/queues/rx-0/rps_cpus")
        with Tracer("events", "--kind", "reset", "--netns", ns.name) as tracer:
            with running(ns, RESETS), running(ns, KNOCKS):
                await_missed(tracer)
            count = ns.counters()["TcpOutRsts"]
            records = tracer.stop()
    told = sum(r["kind"] == "reset" and r["direction"] == "sent" for r in records)
    lost: Counter[tuple[str, str]] = Counter()
    for r in records:
        if r["kind"] == "lost":
            lost[r["why"], r["of"]] += r["count"]
    missed, limited = lost["missed", PROGRAM], lost["limited", "reset"]
    assert missed
    # what found a buffer full may have been one that was received
    assert 0 <= count - told - missed - limited <= lost["buffer", "reset"]
    assert tracer.counts["lost"] == sum(n for (why, _), n in lost.items() if why != "limited")
    (line,) = (text for text in tracer.stderr.splitlines() if "inside another run of" in text)
    assert PROGRAM in line
