"""Leak connections: a server that forgets to close them when a request is wrong.

python3 examples/close_wait_leak/run.py    prints its PIDs and port, then makes trouble for 30 s

Every fifth request is wrong. Its error path leaves the connection behind, in a list that a cache
would be: the client closes, and the server's end stays in CLOSE_WAIT until the process ends. Beside
it a second server takes 2 s for each request, and clients that wait for 1 s: its connections are in
CLOSE_WAIT too, for a second, and then they are closed. It is slow, and leaks nothing.
"""

from __future__ import annotations

import os
import socket
import threading
import time

EVERY_S, LASTS_S, WRONG = 0.05, 30.0, 5
left_behind: list[socket.socket] = []


def answer(connection: socket.socket, number: int) -> None:
    """The trouble: what leaves early does not close."""
    connection.recv(100)
    if number % WRONG == 0:
        left_behind.append(connection)
        return
    connection.sendall(b"done")
    connection.close()


def leak(server: socket.socket) -> None:
    """Answer one after the other."""
    number = 0
    while True:
        number += 1
        answer(server.accept()[0], number)


def be_slow(server: socket.socket) -> None:
    """Take 2 s for each, many at once; all are closed."""

    def work(connection: socket.socket) -> None:
        with connection:
            time.sleep(2)

    while True:
        threading.Thread(target=work, args=(server.accept()[0],), daemon=True).start()


def ask(address: tuple[str, int], patience_s: float) -> None:
    """One request; without an answer in time the client is gone."""
    with socket.create_connection(address) as client:
        client.settimeout(patience_s)
        client.sendall(b"please")
        try:
            client.recv(100)
        except OSError:  # too slow, or it has ended
            return


def main() -> None:
    """Serve, ask, and say what was left behind."""
    with (
        socket.create_server(("127.0.0.1", 0)) as leaky,
        socket.create_server(("127.0.0.1", 0)) as slow,
    ):
        child = os.fork()
        if not child:
            be_slow(slow)
        threading.Thread(target=leak, args=(leaky,), daemon=True).start()
        print(f"PID {os.getpid()} leaks, port {leaky.getsockname()[1]}", flush=True)
        print(f"PID {child} is slow, port {slow.getsockname()[1]}", flush=True)
        end = time.monotonic() + LASTS_S
        while time.monotonic() < end:
            for server, patience_s in ((leaky, 0.5), (slow, 1.0)):
                arguments = (server.getsockname(), patience_s)
                threading.Thread(target=ask, args=arguments, daemon=True).start()
            time.sleep(EVERY_S)
        os.kill(child, 15)
        os.waitpid(child, 0)
    print(f"{len(left_behind)} connections left behind")


if __name__ == "__main__":
    main()
