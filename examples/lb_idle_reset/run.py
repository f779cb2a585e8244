"""Something on the way that forgets idle connections, as load balancers and firewalls do.

python3 examples/lb_idle_reset/run.py    prints its PID and port, then makes trouble for some 15 s

Clients keep connections to a server through a proxy. The proxy forgets every connection
that carried nothing for 3 s (real ones wait 60 s, 350 s or an hour) and sends a RST. A client
that comes back to its connection after a longer pause gets ECONNRESET, for no fault of its own.
"""

from __future__ import annotations

import os
import random
import selectors
import socket
import struct
import threading
import time

FORGETS_S, CLIENTS, LASTS_S = 3.0, 40, 15.0
PAUSES_S = (0.2, 0.5, 6.0)  # between two requests of a client


def forget(connection: socket.socket) -> None:
    """Close with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def proxy(listener: socket.socket, end: float) -> None:
    """Answer requests; forget whoever was silent for too long."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    heard: dict[socket.socket, float] = {}
    while time.monotonic() < end:
        for key, _ in selector.select(0.05):
            ready = key.fileobj
            assert isinstance(ready, socket.socket)
            if ready is listener:
                made = listener.accept()[0]
                selector.register(made, selectors.EVENT_READ)
                heard[made] = time.monotonic()
            elif ready.recv(100):
                ready.sendall(b"answer")
                heard[ready] = time.monotonic()
            else:
                selector.unregister(ready)
                ready.close()
                del heard[ready]
        for made, last in list(heard.items()):
            if time.monotonic() - last > FORGETS_S:
                selector.unregister(made)
                del heard[made]
                forget(made)


def keep(address: tuple[str, int], end: float, failed: list[str]) -> None:
    """A client with one connection, used again and again."""
    connection = socket.create_connection(address)
    while time.monotonic() < end - max(PAUSES_S):
        try:
            connection.sendall(b"request")
            connection.recv(100)
        except OSError as error:
            failed.append(type(error).__name__)
            connection.close()
            connection = socket.create_connection(address)
        time.sleep(random.choice(PAUSES_S))
    connection.close()


def main() -> None:
    """Run both, and say what the clients got."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        address = listener.getsockname()
        print(f"PID {os.getpid()}, port {address[1]}", flush=True)
        end, failed = time.monotonic() + LASTS_S, list[str]()
        threads = [threading.Thread(target=proxy, args=(listener, end))]
        threads += [
            threading.Thread(target=keep, args=(address, end, failed)) for _ in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    print(f"{len(failed)} requests failed: {', '.join(sorted(set(failed))) or 'none'}")


if __name__ == "__main__":
    main()
