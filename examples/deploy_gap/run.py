"""Restart a server as a deploy does it: stop the old one, then start the new one.

python3 examples/deploy_gap/run.py    prints its PID and port, then makes trouble for some 10 s

Each server is a process of its own. Between the old one's last moment and the new one's listen()
nobody listens: every connect() is refused at once, and what had connected and was not accepted yet
is reset. The new one takes 0.8 s to start, as one does that reads its configuration first.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
import time

DEPLOYS, LIVES_S, STARTS_S, EVERY_S, BUSY_S = 4, 1.6, 0.8, 0.005, 0.05


counting = threading.Lock()


def serve(port: int, starts_s: float) -> int:
    """A server in a process of its own; returns its PID once it listens."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return pid
    time.sleep(starts_s)
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(128)
    os.write(writing, b"1")
    while True:
        time.sleep(BUSY_S)  # some wait to be accepted meanwhile
        while select.select([server], [], [], 0)[0]:
            server.accept()[0].close()


def stop(pid: int) -> None:
    """End it, and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def call(port: int, said: dict[str, int], over: threading.Event) -> None:
    """A client that connects every few milliseconds, waits for the answer, and counts both."""
    while not over.wait(EVERY_S):
        try:
            with socket.create_connection(("127.0.0.1", port)) as made:
                made.recv(1)
            what = "served"
        except OSError as error:
            what = type(error).__name__
        with counting:
            said[what] = said.get(what, 0) + 1


def main() -> None:
    """Serve, call, deploy; then say what the clients got."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    print(f"PID {os.getpid()}, port {port}", flush=True)
    server = serve(port, 0)
    said: dict[str, int] = {}
    over = threading.Event()
    clients = [threading.Thread(target=call, args=(port, said, over)) for _ in range(8)]
    for client in clients:
        client.start()
    for _ in range(DEPLOYS):
        time.sleep(LIVES_S)
        stop(server)
        server = serve(port, STARTS_S)
    over.set()
    for client in clients:
        client.join()
    stop(server)
    print(", ".join(f"{count} {what}" for what, count in sorted(said.items())))


if __name__ == "__main__":
    main()
