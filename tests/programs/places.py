"""Namespaces made fit for a workload: a server, a host that is silent, a link that waits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness import Namespace
from tests.programs.driver import Program

ADDRESS, PORT, SHUT_PORT = "127.0.0.1", 7001, 7999
SILENT = "10.99.0.2"  # routed, resolved, and nobody there


@contextmanager
def server_in(ns: Namespace, port: int = PORT) -> Iterator[Program]:
    """A program that listens there, on `l`."""
    with Program(f"tt-server-{port}", ns.enter) as server:
        server.do("bind", name="l", address=ADDRESS, port=port)
        server.do("listen", name="l", backlog=1000)
        yield server


def add_silent_host(ns: Namespace) -> None:
    """Give SILENT a route and a known hardware address that no card has."""
    ns.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far")
    ns.run("ip", "addr", "add", "10.99.0.1/24", "dev", "near")
    for end in ("near", "far"):
        ns.run("ip", "link", "set", end, "up")
    known = ["lladdr", "02:00:00:00:00:99", "dev", "near", "nud", "permanent"]
    ns.run("ip", "neigh", "add", SILENT, *known)


@contextmanager
def packets_waiting(ns: Namespace) -> Iterator[None]:
    """Hold back what is sent on the loopback, after one packet; at the end all goes, in order."""
    shape = ["dev", "lo", "root", "tbf", "limit", "1mb"]
    ns.run("tc", "qdisc", "add", *shape, "rate", "80bit", "burst", "70")
    yield
    ns.run("tc", "qdisc", "change", *shape, "rate", "1gbit", "burst", "1mb")


def mini_sockets(ns: Namespace, state: str) -> set[str]:
    """Cookies of the sockets in this state, as ss tells them."""
    found = re.findall(r"\bsk:([0-9a-f]+)", ns.run("ss", "-Htane", "state", state))
    assert len(set(found)) == len(found)
    return set(found)
