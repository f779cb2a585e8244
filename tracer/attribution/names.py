"""Names of addresses and ports, for --names: what does not answer in time stays a number.

A lookup of DNS may take a minute. It is made beside the session, by threads that nothing waits for
at the end; who asks for a name waits no longer than it was allowed to, and gets the number then.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

THREADS = 4
MOST_WAITING = 256  # lookups; what comes while as many wait stays a number
MOST_KEPT = 65536  # names
# net.ipv4.ip_local_port_range begins there: callers have these ports, and services have not
FIRST_EPHEMERAL = 32768

Lookup = Callable[[str], str | None]


def reverse(address: str) -> str | None:
    """The name of an address by the system's resolver; None without one. May take long."""
    try:
        # getnameinfo() would hold the interpreter's lock for as long as it takes
        return socket.gethostbyaddr(address)[0]
    except OSError:
        return None


@lru_cache(maxsize=FIRST_EPHEMERAL)
def service(port: int) -> str | None:
    """The name of a TCP port, if it has one."""
    if not 0 < port < FIRST_EPHEMERAL:
        return None
    try:
        return socket.getservbyport(port, "tcp")
    except OSError:
        return None


class Names:
    """Names of addresses, each looked up once."""

    def __init__(self, lookup: Lookup = reverse, hosts: Path = Path("/etc/hosts")) -> None:
        self._lookup = lookup
        self._known: dict[str, str | None] = dict(_read_hosts(hosts))
        self._asked: set[str] = set()
        self._waiting: queue.Queue[str] = queue.Queue(MOST_WAITING)
        self._came = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._until = 0.0

    def allow(self, seconds: float) -> None:
        """From now on, `host` may wait so long in all."""
        self._until = time.monotonic() + seconds

    def host(self, address: str) -> str:
        """The name of an address, or the address itself."""
        with self._came:
            if address not in self._known and self._ask(address):
                self._came.wait_for(
                    lambda: address in self._known, max(0.0, self._until - time.monotonic())
                )
            return self._known.get(address) or address

    def _ask(self, address: str) -> bool:
        """Have it looked up; False where too many are already."""
        if address in self._asked:
            return True
        if len(self._known) >= MOST_KEPT:
            return False
        try:
            self._waiting.put_nowait(address)
        except queue.Full:
            return False
        self._asked.add(address)
        if len(self._threads) < THREADS:
            thread = threading.Thread(target=self._work, daemon=True)
            self._threads.append(thread)
            thread.start()
        return True

    def _work(self) -> None:
        while True:
            address = self._waiting.get()
            found = self._lookup(address)
            with self._came:
                self._known[address] = found
                self._asked.discard(address)
                self._came.notify_all()


def _read_hosts(path: Path) -> dict[str, str]:
    """The first name of each address in /etc/hosts; the first line that has it counts."""
    found: dict[str, str] = {}
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return found
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1:
            found.setdefault(words[0], words[1])
    return found
