"""Namespaces made fit for a workload: a server, a host that is silent, a link that waits."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness import ROOT, Namespace, namespace
from tests.programs.driver import Program

ADDRESS, PORT, SHUT_PORT = "127.0.0.1", 7001, 7999
SILENT = "10.99.0.2"  # routed, resolved, and nobody there
NEAR = "10.99.0.1"  # ours, on the link to it


@contextmanager
def server_in(ns: Namespace, port: int = PORT, address: str = ADDRESS) -> Iterator[Program]:
    """A program that listens there, on `l`."""
    with Program(f"tt-server-{port}", ns.enter) as server:
        server.do("bind", name="l", address=address, port=port)
        server.do("listen", name="l", backlog=1000)
        yield server


def add_silent_host(ns: Namespace) -> None:
    """Give SILENT a route and a known hardware address that no card has."""
    ns.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    ns.run("ip", "addr", "add", f"{NEAR}/24", "dev", "near")
    for end in ("near", "far"):
        ns.run("ip", "link", "set", end, "up")
    known = ["lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "permanent"]
    ns.run("ip", "neigh", "add", SILENT, *known)


def build(name: str) -> Path:
    """Compile a program of this folder; returns it."""
    made = ROOT / "tests/build" / name
    made.parent.mkdir(exist_ok=True)
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", made, source], check=True)
    return made


@contextmanager
def looker(pid: int, fd: int) -> Iterator[int]:
    """A process that keeps looking at a descriptor of another; gives its PID."""
    process = subprocess.Popen(
        [build("look"), f"/proc/{pid}/fdinfo/{fd}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    yield int(json.loads(process.stdout.readline())["pid"])
    process.communicate(timeout=20)
    assert process.returncode == 0, "it never saw the descriptor"


def flood(ns: Namespace, count: int) -> tuple[int, int]:
    """Make so many connections as fast as they go; returns the PIDs of client and server."""
    program = build("flood")

    def start(role: str) -> tuple[subprocess.Popen[str], int]:
        command = [*ns.enter, str(program), role, str(PORT), str(count)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        return process, json.loads(process.stdout.readline())["pid"]

    server, server_pid = start("serve")
    client, client_pid = start("call")
    for process in (client, server):
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert json.loads(said)["did"] == "done"
    return client_pid, server_pid


class Link:
    """Two namespaces and a cable: CALLER on one end, CALLED on the other."""

    def __init__(self, here: Namespace, there: Namespace) -> None:
        self.here, self.there = here, there
        self.names = f"{here.name},{there.name}"

    def cut(self, ns: Namespace) -> None:
        """What this side sends goes to a card that nobody has."""
        self._learn(ns, "02:00:00:00:00:99")

    def mend(self, ns: Namespace) -> None:
        """What this side sends arrives."""
        other = self.there if ns is self.here else self.here
        self._learn(ns, other.run("cat", "/sys/class/net/cable/address").strip())

    def _learn(self, ns: Namespace, card: str) -> None:
        other = CALLED if ns is self.here else CALLER
        known = ["lladdr", card, "dev", "cable", "nud", "permanent"]
        ns.run("ip", "neigh", "replace", other, *known)


CALLER, CALLED = "10.98.0.1", "10.98.0.2"


@contextmanager
def link() -> Iterator[Link]:
    """A cable that either side's half of can be cut: packets are then lost, and nobody is told."""
    with namespace() as here, namespace() as there:
        ends = ["type", "veth", "peer", "name", "cable", "netns", there.name]
        here.run("ip", "link", "add", "cable", *ends)
        made = Link(here, there)
        for ns, address in ((here, CALLER), (there, CALLED)):
            ns.run("ip", "addr", "add", f"{address}/24", "dev", "cable")
            ns.run("ip", "link", "set", "cable", "up")
        for ns in (here, there):
            made.mend(ns)
        yield made


class Slow:
    """Two namespaces with a relay between them; `did` is, at the end, what it did by port."""

    def __init__(self, here: Namespace, there: Namespace) -> None:
        self.here, self.there = here, there
        self.did: dict[int, dict[str, float]] = {}


@contextmanager
def slow_link(plan: list[dict[str, float]]) -> Iterator[Slow]:
    """CALLER and CALLED, and between them tests/programs/relay.py, which follows the plan."""
    program = Path(__file__).with_name("relay.py")
    with namespace() as here, namespace() as there:
        made = Slow(here, there)
        process = subprocess.Popen(
            [sys.executable, str(program), here.name, there.name, "cable", json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout
            assert process.stdout.readline() == "ready\n"
            for ns, address in ((here, CALLER), (there, CALLED)):
                # nothing of its own: what passes is what the test sends
                ns.run("sysctl", "-qw", "net.ipv6.conf.cable.disable_ipv6=1")
                ns.run("ip", "addr", "add", f"{address}/24", "dev", "cable")
                ns.run("ip", "link", "set", "cable", "up")
            yield made
            said, _ = process.communicate(timeout=10)
            made.did = {int(port): did for port, did in json.loads(said).items()}
        finally:
            process.kill()
            process.wait()


@contextmanager
def answering(ns: Namespace, port: int, *answers: str) -> Iterator[None]:
    """Have SILENT answer the SYN to this port, with these packets: see tests/programs/wire.py."""
    program = Path(__file__).with_name("wire.py")
    process = subprocess.Popen(
        [*ns.enter, sys.executable, str(program), "far", str(port), *answers],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    try:
        yield
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


@contextmanager
def packets_waiting(ns: Namespace, longest: int = 70) -> Iterator[None]:
    """Hold back what is sent on the loopback, after one packet; at the end all goes, in order.

    No packet may be longer than `longest`, and two must be.
    """
    shape = ["dev", "lo", "root", "tbf", "limit", "1mb"]
    ns.run("tc", "qdisc", "add", *shape, "rate", "80bit", "burst", str(longest))
    yield
    ns.run("tc", "qdisc", "change", *shape, "rate", "1gbit", "burst", "1mb")


def mini_sockets(ns: Namespace, state: str) -> set[str]:
    """Cookies of the sockets in this state, as ss tells them."""
    found = re.findall(r"\bsk:([0-9a-f]+)", ns.run("ss", "-Htane", "state", state))
    assert len(set(found)) == len(found)
    return set(found)


_CLONE_NEWNET = 0x40000000


def inside(space: Namespace, work: Callable[[], Any]) -> Any:
    """Do something in a thread that has entered the namespace; sockets made there stay in it."""
    found: list[Any] = []

    def run() -> None:
        with open(f"/run/netns/{space.name}") as file:
            assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) == 0
        found.append(work())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]
