"""Very many sockets, and how long this machine takes for what is known: bounds are scaled by it."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.harness import COMMAND, ROOT, Namespace, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

PAIRS, CONNECTIONS, AT_ONCE = 2, 10_000, 1000
SOCKETS = 2 * PAIRS * CONNECTIONS
DESCRIPTORS = 20_000
HELP_S = 0.08  # what is said of seconds is said of a machine on which --help takes no more


@contextmanager
def crowd() -> Iterator[tuple[Namespace, list[int]]]:
    """Servers and clients that hold SOCKETS sockets, and their PIDs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, before[1]))
    with namespace() as ns, ExitStack() as stack:
        pids = []
        for port in range(PORT, PORT + PAIRS):
            server = stack.enter_context(server_in(ns, port))
            client = stack.enter_context(Program(f"tt-client-{port}", ns.enter))
            for _ in range(CONNECTIONS // AT_ONCE):
                held = client.do("hold", address=ADDRESS, port=port, count=AT_ONCE)
                assert held["failures"] == {}
                server.do("accept_waiting", listener="l")
            pids += [server.pid, client.pid]
        yield ns, pids
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def took_s(*command: str) -> float:
    """How long a command takes that others keep no CPU from: no longer than it takes, nor than
    what it takes of CPUs, as it waits for nothing.
    """
    before, began = _cpu_s(), time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return min(time.monotonic() - began, _cpu_s() - before)


def _cpu_s() -> float:
    """Of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def help_s() -> float:
    """How long the shortest command there is takes: the best of three."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run([*COMMAND, "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        took.append(time.monotonic() - began)
    return min(took)
