"""Connections by a process and its children, who all exit at once.

    burst.py ADDRESS PORT OWN [CHILD…] [orphans]

Makes OWN connections, and CHILD of them in each child, each closed as it is made. With `orphans`
the children begin when their parent is gone. Each process says on standard output who it is and
which ports it had.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time


def connect(place: tuple[str, int], count: int) -> None:
    ports = []
    for _ in range(count):
        with socket.create_connection(place) as made:
            ports.append(made.getsockname()[1])
    os.write(1, json.dumps({"pid": os.getpid(), "ports": ports}).encode() + b"\n")


def main() -> None:
    place, own = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3])
    orphans = sys.argv[-1] == "orphans"
    parent, children = os.getpid(), []
    for count in map(int, sys.argv[4 : -1 if orphans else None]):
        children.append(os.fork())
        if children[-1] == 0:
            while orphans and os.getppid() == parent:
                time.sleep(0.001)
            connect(place, count)
            os._exit(0)
    connect(place, own)
    if not orphans:
        for child in children:
            os.waitpid(child, 0)
    os._exit(3)


main()
