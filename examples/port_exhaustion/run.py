"""Run out of ephemeral ports: a client that opens a connection for each request and closes it.

sudo python3 examples/port_exhaustion/run.py    prints its PID, then makes trouble for some 15 s

It works in a network namespace of its own, which ends with it and has 200 ports to choose from, not
28,232 as usual: at 25 connections a second all of them are in TIME_WAIT after 8 s. At 470 a second
the usual range is, after a minute.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

PORTS, PER_S, LASTS_S = "40000 40199", 25, 15.0
CLONE_NEWNET = 0x40000000


def move_out() -> None:
    """Into a namespace where the few ports there are last for one use a minute."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        sys.exit("it makes a network namespace: run it as root")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    settings = Path("/proc/sys/net/ipv4")
    (settings / "ip_local_port_range").write_text(PORTS)
    # on the loopback ports in TIME_WAIT are used again otherwise; elsewhere they are not
    (settings / "tcp_tw_reuse").write_text("0")


def serve(server: socket.socket) -> None:
    """Answer, and wait for the client to close first: then the TIME_WAIT is the client's."""
    while True:
        connection = server.accept()[0]
        connection.sendall(b"here")
        connection.recv(1)
        connection.close()


def main() -> None:
    """Ask again and again, over a new connection each time."""
    move_out()
    with socket.create_server(("127.0.0.1", 8000), backlog=100) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        print(f"PID {os.getpid()}, port 8000", flush=True)
        begun, answered, failed = time.monotonic(), 0, 0
        while time.monotonic() < begun + LASTS_S:
            try:
                with socket.create_connection(("127.0.0.1", 8000)) as client:
                    client.recv(4)
                    answered += 1
            except OSError as error:
                failed += 1
                last = error.strerror
            time.sleep(1 / PER_S)
    print(f"{answered} answered, {failed} failed" + (f": {last}" if failed else ""))


if __name__ == "__main__":
    main()
