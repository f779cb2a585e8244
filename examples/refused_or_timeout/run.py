"""Two addresses that cannot be reached: one says so at once, the other says nothing.

sudo python3 examples/refused_or_timeout/run.py    prints its PID, then tries both for some 10 s

Nobody listens on the first: the kernel there answers each SYN with a RST, and connect() fails with
ECONNREFUSED within microseconds. The second is a host that is there no more, behind an address that
is still routed: nobody answers, SYNs are sent again, and connect() fails with ETIMEDOUT (here after
1.5 s by TCP_USER_TIMEOUT; the kernel alone would try for two minutes).

It makes a network namespace of its own for that, which needs root, and which ends with it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from errno import errorcode

ROUNDS, PORT = 5, 8080
HERE, GONE = "127.0.0.1", "10.99.0.2"
LIMIT_MS = 1500


def make_place() -> None:
    """A loopback, and a link whose other end nobody is behind."""
    os.unshare(os.CLONE_NEWNET) if hasattr(os, "unshare") else _unshare()
    for line in (
        "link set lo up",
        "link add near type veth peer name far",
        "addr add 10.99.0.1/24 dev near",
        "link set near up",
        "link set far up",
        f"neigh add {GONE} lladdr 02:00:00:00:00:99 dev near nud permanent",
    ):
        subprocess.run(["ip", *line.split()], check=True)


def _unshare() -> None:
    """The same for Python before 3.12."""
    import ctypes

    new_net = 0x40000000
    if ctypes.CDLL(None, use_errno=True).unshare(new_net):
        raise OSError(ctypes.get_errno(), "unshare: this needs root")


def attempt(host: str) -> str:
    """What connect() says, and how long it took."""
    begun = time.monotonic()
    with socket.socket() as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LIMIT_MS)
        error = made.connect_ex((host, PORT))
    return f"{host}:{PORT}  {errorcode.get(error, 'OK')} after {time.monotonic() - begun:.4f} s"


def main() -> None:
    """Try both, again and again."""
    make_place()
    print(f"PID {os.getpid()}", flush=True)
    time.sleep(2)  # to look on from the begin
    for _ in range(ROUNDS):
        for host in (HERE, GONE):
            print(attempt(host), flush=True)


if __name__ == "__main__":
    main()
