"""What `ss` says of every TCP socket of a namespace: the witness for sockets as they are now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from tests.harness import Namespace

STATES = {
    "LISTEN": "LISTEN",
    "ESTAB": "ESTABLISHED",
    "SYN-SENT": "SYN_SENT",
    "SYN-RECV": "NEW_SYN_RECV",
    "FIN-WAIT-1": "FIN_WAIT1",
    "FIN-WAIT-2": "FIN_WAIT2",
    "CLOSE-WAIT": "CLOSE_WAIT",
    "LAST-ACK": "LAST_ACK",
    "CLOSING": "CLOSING",
    "TIME-WAIT": "TIME_WAIT",
}
_USERS = re.compile(r'\("((?:[^"\\]|\\.)*)",pid=(\d+),fd=(\d+)\)')
_WORD = re.compile(r"(?<!\S)([a-z_]+):(\S+)")


@dataclass(frozen=True)
class Socket:
    """One socket; `words` are the `name:value` ones, as text."""

    state: str
    recv_queue: int
    send_queue: int
    local: tuple[str, int]
    remote: tuple[str, int]
    users: tuple[tuple[str, int, int], ...]
    congestion: str | None
    words: dict[str, str]

    def number(self, name: str, missing: Any = 0) -> Any:
        """A word's number, without its unit and what follows."""
        found = re.match(r"[\d.]+", self.words.get(name, ""))
        return float(found[0]) if found else missing


def sockets(ns: Namespace) -> dict[str, Socket]:
    """All but listening ones, by cookie."""
    lines = ns.run("ss", "-HtanpeiO").splitlines()
    found = [_socket(line) for line in lines if not line.startswith("LISTEN")]
    made = {socket.words["sk"]: socket for socket in found}
    assert len(made) == len(found)
    return made


def _socket(line: str) -> Socket:
    state, recv_queue, send_queue, local, remote, *_ = line.split()
    words = dict(_WORD.findall(line))
    congestion = re.search(r" (cubic|bbr|reno|dctcp) ", line)
    return Socket(
        STATES[state],
        int(recv_queue),
        int(send_queue),
        _end(local),
        _end(remote),
        tuple((name, int(pid), int(fd)) for name, pid, fd in _USERS.findall(line)),
        congestion[1] if congestion else None,
        words,
    )


def _end(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]").partition("%")[0]
    return host.removeprefix("::ffff:"), int(port)
