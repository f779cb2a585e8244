"""Make a CLOSE_WAIT leak: a server that does not close what its clients have closed.

python3 examples/close_wait.py        prints its PID, leaks 7 sockets, waits for Enter

tcptrace states -d 5                  shows it: CLOSE_WAIT 7, and how old the oldest is
tcptrace events --pid PID             shows each going ESTABLISHED -> CLOSE_WAIT
"""

from __future__ import annotations

import os
import socket

LEAKS = 7


def main() -> None:
    """Leak, then wait to be looked at."""
    kept = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(f"PID {os.getpid()}, port {server.getsockname()[1]}", flush=True)
        input("Enter makes the connections ")
        for _ in range(LEAKS):
            client = socket.create_connection(server.getsockname())
            kept.append(server.accept()[0])
            client.close()
        input(f"{LEAKS} sockets are in CLOSE_WAIT; Enter ends it ")


if __name__ == "__main__":
    main()
