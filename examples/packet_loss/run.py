"""Lose packets: a client that uploads to a server, and a rule that throws some of it away.

sudo python3 examples/packet_loss/run.py    prints PID, port and namespace, then loses for 7 s

All of it is in a network namespace of its own, packet-loss, which is taken away at the end. Of 50
packets with data one is lost, as on a bad link; then, for a while, all that goes to the server, as
when a link is down. The client sees an upload that is slow, and no error. It needs nftables.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import threading
import time

NAME, PORT = "packet-loss", 8000
CLONE_NEWNET = 0x40000000
UPLOAD = b"x" * 200_000
LOSSY_S, DOWN_S, AFTER_S = 5.0, 2.0, 7.0


def run(*command: str) -> None:
    """Run a command, which must not fail."""
    subprocess.run(command, check=True)


def lose(rule: str) -> None:
    """Lose what the rule says, and nothing else."""
    run("nft", "flush", "chain", "inet", "loss", "arriving")
    run("nft", "add", "rule", "inet", "loss", "arriving", "tcp", "dport", str(PORT), *rule.split())


def serve(server: socket.socket) -> None:
    """Read all that comes."""
    connection, _ = server.accept()
    while connection.recv(1 << 20):
        pass


def upload(until: float) -> None:
    """The trouble is not here: it writes as fast as it may."""
    with socket.create_connection(("127.0.0.1", PORT)) as client:
        while time.monotonic() < until:
            client.sendall(UPLOAD)
            time.sleep(0.02)


def main() -> None:
    """Lose packets for a while."""
    run("ip", "netns", "add", NAME)
    try:
        with open(f"/run/netns/{NAME}") as file:
            assert ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET) == 0
        run("ip", "link", "set", "lo", "up", "mtu", "1500")
        run("nft", "add", "table", "inet", "loss")
        hook = "{ type filter hook input priority 0; }"
        run("nft", "add", "chain", "inet", "loss", "arriving", hook)
        with socket.create_server(("127.0.0.1", PORT)) as server:
            print(f"PID {os.getpid()}, port {PORT}, namespace {NAME}", flush=True)
            threading.Thread(target=serve, args=(server,)).start()
            lose("meta length > 100 numgen inc mod 50 0 drop")
            client = threading.Thread(target=upload, args=(time.monotonic() + LOSSY_S + DOWN_S,))
            client.start()
            time.sleep(LOSSY_S)
            lose("drop")
            time.sleep(DOWN_S)
            run("nft", "flush", "chain", "inet", "loss", "arriving")
            client.join()
            time.sleep(AFTER_S)  # the kernel's counters go with the namespace
    finally:
        run("ip", "netns", "del", NAME)


if __name__ == "__main__":
    main()
