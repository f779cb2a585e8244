"""Make tests/golden/drops.rec.gz anew: `python -m tests.programs.drops_recording`, as root.

Of each stage of a packet's way some that die there, in known numbers, and some that nothing is lost
with; among those who own them one with a hostile name, and on a device with one.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.harness import ROOT, Namespace, Tracer, namespace, wait_until
from tests.programs.crafted import SYN, Host
from tests.programs.driver import Program
from tests.programs.places import NEAR, PORT, SHUT_PORT, SILENT, add_silent_host
from tests.programs.small_recording import HOSTILE, keep

MADE = ROOT / "tests" / "golden" / "drops.rec.gz"
DEVICE = "n[b]\x1b[1m"  # what the card is called
BACKLOG, UNKNOWN, INVALID, REFUSED, SHUT, DAMAGED, FULL, AGAIN, UNREAD = (
    2,
    17,
    5,
    11,
    13,
    7,
    19,
    6,
    3,
)


def make(path: Path) -> None:
    """Record some seconds of it."""
    with ExitStack() as stack:
        ns = stack.enter_context(namespace())
        add_silent_host(ns)
        ns.run("nft", "add", "table", "ip", "t")
        ns.run("nft", "add chain ip t c { type filter hook input priority 0; }")
        ns.run("nft", f"add rule ip t c tcp dport {PORT + 2} drop")
        odd = stack.enter_context(Program(HOSTILE, ns.enter))
        odd.do("bind", name="l", address=NEAR, port=PORT)
        odd.do("listen", name="l", backlog=BACKLOG)
        server = stack.enter_context(Program("tt-server", ns.enter))
        server.do("bind", name="l", address=NEAR, port=PORT + 1)
        server.do("listen", name="l")
        client = stack.enter_context(Program("tt-client", ns.enter))
        client.do("watch", device="far")
        client.do("hold", address=NEAR, port=PORT, count=BACKLOG + 1)
        host = stack.enter_context(Host(ns))
        ns.run("ip", "link", "set", "near", "name", DEVICE)
        tracer = stack.enter_context(
            Tracer("record", "--kind", "all", "--netns", ns.name, str(path), json=False)
        )
        for _ in range(UNKNOWN):
            host.send_unknown()
        for i in range(INVALID):
            host.send(SYN, 20000 + i, PORT + 1, source="224.0.0.9")
        for i in range(REFUSED):
            host.send(SYN, 20000 + i, PORT + 2)
        for i in range(SHUT):
            host.send(SYN, 20000 + i, SHUT_PORT + i % 3)
        for i in range(DAMAGED):
            host.send(SYN, 20000 + i, good=False)
        client.do("send_syns", source=SILENT, address=NEAR, port=PORT, first=21000, count=FULL)
        talk = host.open(port=22000, to=PORT + 1)
        server.do("accept", name="t", listener="l")
        host.say(talk, b"x" * 10, to=PORT + 1)
        server.do("receive", name="t")
        for _ in range(AGAIN):
            host.say(talk, b"x" * 10, to=PORT + 1)
        wait_until(lambda: ns.counters()["TcpExtDelayedACKLost"] >= AGAIN, "old segments")
        for _ in range(UNREAD):
            client.do("connect", name="c", address=NEAR, port=PORT + 1)
            server.do("accept", name="c", listener="l")
            client.do("send", name="c", count=1)
            wait_until(lambda: 1 in unread(ns), "it")
            server.do("close", name="c")
            client.attempt("receive", name="c")
            client.do("close", name="c")
        tracer.stop()


def unread(ns: Namespace) -> list[int]:
    """Bytes that wait on each of the server's connections, as ss has them (Recv-Q)."""
    found = ns.run("ss", "-tnH", f"sport = :{PORT + 1}").splitlines()
    return [int(line.split()[1]) for line in found]


if __name__ == "__main__":
    keep(make, MADE)
