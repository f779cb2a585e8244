"""Make a slow accept(): a server that does its work before it comes back for the next connection.

python3 examples/slow_accept/run.py    prints its PID and port, then serves for some 10 s

A worker that takes 5 ms for each connection can take 200 a second; clients come at 180 a second,
in bursts of 36. Each burst stands in the accept queue until the worker has worked it off. Clients
see it as latency: their connect() has long returned, their answer takes up to 0.2 s.
"""

from __future__ import annotations

import os
import socket
import threading
import time

BURSTS, BURST, PAUSE_S = 50, 36, 0.2
WORK_S = 0.005


def serve(server: socket.socket) -> None:
    """The trouble: work, and accept() again only when it is done."""
    for _ in range(BURSTS * BURST):
        connection, _ = server.accept()
        with connection:
            time.sleep(WORK_S)
            connection.sendall(b"done")


def load(address: tuple[str, int]) -> None:
    """Connections as clients make them: all at once, and then none for a while."""
    for _ in range(BURSTS):
        waiting = [socket.create_connection(address) for _ in range(BURST)]
        time.sleep(PAUSE_S)
        for connection in waiting:
            connection.recv(4)
            connection.close()


def main() -> None:
    """Serve a load until it is over."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        print(f"PID {os.getpid()}, port {server.getsockname()[1]}", flush=True)
        worker = threading.Thread(target=serve, args=(server,))
        worker.start()
        load(server.getsockname())
        worker.join()


if __name__ == "__main__":
    main()
