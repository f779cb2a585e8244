"""Fill a listener's accept queue: a server with a small backlog that stops accepting for a while.

python3 examples/full_backlog/run.py    prints its PID and port, then makes trouble for some 10 s

The server is busy for two seconds, then takes what has come, again and again. Its backlog is 16, so
17 connections wait; the SYNs of all others are dropped without a word. Their clients send them
again after 1 s and 3 s: the server's pause of two seconds becomes three for them.
"""

from __future__ import annotations

import os
import socket
import threading
import time

ROUNDS, CLIENTS, BUSY_S, BACKLOG = 4, 60, 2.0, 16


def serve(server: socket.socket) -> None:
    """The trouble: busy with something else, and only then all that came meanwhile."""
    time.sleep(BUSY_S)
    for _ in range(CLIENTS):
        server.accept()[0].close()


def call(address: tuple[str, int], took: list[float]) -> None:
    """One client: how long does connect() take?"""
    begun = time.monotonic()
    with socket.create_connection(address, timeout=30):
        took.append(time.monotonic() - begun)


def main() -> None:
    """Serve, call, and say how long the clients' connect() took."""
    with socket.create_server(("127.0.0.1", 0), backlog=BACKLOG) as server:
        address = server.getsockname()
        print(f"PID {os.getpid()}, port {address[1]}", flush=True)
        took: list[float] = []
        for _ in range(ROUNDS):
            at_once = [threading.Thread(target=serve, args=(server,))]
            at_once += [threading.Thread(target=call, args=(address, took)) for _ in range(CLIENTS)]
            for thread in at_once:
                thread.start()
            for thread in at_once:
                thread.join()
    slow = sum(seconds > 0.9 for seconds in took)
    print(
        f"{len(took)} connected, {slow} of them after 1 s or more, the last after {max(took):.1f} s"
    )


if __name__ == "__main__":
    main()
