"""Connections to trace: a storm as fast as it goes, or a trickle, in a namespace of their own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.bench import programs
from tests.harness import Namespace, namespace

FOREVER_S = 3600
PORT = 1000

# A round is to be limited by the machine alone, not by ports or by TIME_WAIT sockets kept.
LIMITS = {
    "/proc/sys/net/ipv4/ip_local_port_range": "1024 65535",
    "/proc/sys/net/ipv4/tcp_max_tw_buckets": "1048576",
}


@dataclass(frozen=True)
class Storm:
    """How many connections were opened and closed by both ends, in how long."""

    connections: int
    seconds: float

    @property
    def rate(self) -> float:
        """Connections a second."""
        return self.connections / self.seconds

    def raw(self) -> dict[str, float]:
        """What rounds.json keeps."""
        return {**asdict(self), "rate": self.rate}


@contextmanager
def roomy_namespace() -> Iterator[Namespace]:
    """Make a namespace in which one round meets no limit."""
    with namespace() as made:
        for path, value in LIMITS.items():
            made.run("sh", "-c", f"echo {value} >{path}")
        yield made


def storm(where: Namespace, seconds: float, port: int = PORT) -> Storm:
    """Connect, accept and close as fast as it goes for so many seconds."""
    connections, took = where.run(str(programs.storm()), str(seconds), "0", str(port)).split()
    return Storm(int(connections), float(took))


@contextmanager
def trickle(pause_us: int, port: int = PORT) -> Iterator[tuple[Namespace, int]]:
    """Make a connection every so often while the block runs; where, and by which process."""
    program = str(programs.storm())
    with roomy_namespace() as where:
        command = [*where.enter, program, str(FOREVER_S), str(pause_us), str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            yield where, process.pid
            assert process.poll() is None, "the trickle of connections has ended early"
        finally:
            process.kill()
            process.wait()
