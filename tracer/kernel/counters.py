"""A reading of the kernel's counters in every namespace: files and netlink, nothing loaded.

A thread enters each namespace for as long as that takes, as /proc/net, netlink and
/proc/sys/net speak of the namespace of whoever asks.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from tracer.kernel import counter_files, devices, iterators, preflight
from tracer.wire.counter import MACHINE, Key, Reading

_NET = Path("/proc/thread-self/net")
_CONNTRACK = Path("/proc/sys/net/netfilter")
_SO_NETNS_COOKIE = 71  # include/uapi/asm-generic/socket.h, since v5.14
_TEXTS = {
    "snmp": counter_files.pairs,
    "netstat": counter_files.pairs,
    "snmp6": counter_files.lines,
}


class Counters:
    """Reads them; `unseen` are needs that this process lacks to look at all namespaces."""

    def __init__(self, wanted: frozenset[int]) -> None:
        self._wanted = wanted
        self.unseen: list[preflight.Need] = []

    def read(self) -> Reading:
        """All of them now. Errors: NotPermittedError for a namespace that was asked for."""
        reading = Reading(time.monotonic_ns())
        own = os.stat("/proc/self/ns/net").st_ino
        found = iterators.network_namespaces()
        for inode, path in found.items():
            if self._wanted and inode not in self._wanted:
                continue
            try:
                if inode == own:
                    _read_here(reading, inode)
                else:
                    iterators.in_namespace(path, lambda inode=inode: _read_here(reading, inode))  # type: ignore[misc]
            except FileNotFoundError:
                continue  # its last process ended
            except PermissionError:
                self._lacks("CAP_SYS_ADMIN")
        if self._wanted - set(reading.moments):
            if self.unseen or self._lacks("CAP_SYS_PTRACE"):
                raise preflight.not_permitted(self.unseen)
        elif not self._wanted:
            self._lacks("CAP_SYS_PTRACE")
        _read_machine(reading)
        return reading

    def _lacks(self, capability: str) -> bool:
        """Note that it is missing, if it is."""
        if capability in preflight.effective():
            return False
        need = preflight.Need(capability, preflight.NAMESPACES[capability], False)
        if need not in self.unseen:
            self.unseen.append(need)
        return True


def _read_here(reading: Reading, inode: int) -> int:
    """Counters of the namespace that this thread is in."""
    texts = {name: (_NET / name).read_text() for name in ("snmp", "netstat")}
    for name in ("snmp6", "stat/nf_conntrack"):  # there may be no IPv6 and no conntrack
        with suppress(OSError):
            texts[name] = (_NET / name).read_text()
    reading.moments[inode] = time.monotonic_ns()
    for source, parse in _TEXTS.items():
        for name, value in parse(texts.get(source, "")).items():
            reading.values[Key(source, inode, "", "", -1, name)] = value
    _read_conntrack(reading, inode, texts.get("stat/nf_conntrack"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        reading.ids[inode, ""] = _cookie(asked)
        for index, device, counters in devices.links():
            reading.ids[inode, device] = index
            for name, value in counters.items():
                reading.values[Key("dev", inode, device, "", -1, name)] = value
            for name, value in devices.driver_counters(asked, device).items():
                queue = devices.queue_of(name)
                reading.values[Key("nic", inode, device, queue, -1, name)] = value
    return inode


def _read_conntrack(reading: Reading, inode: int, text: str | None) -> None:
    found = counter_files.conntrack(text) if text else {}
    found.pop("entries", None)  # the same as the count
    for name in ("count", "max"):
        with suppress(OSError):
            found[name] = int((_CONNTRACK / f"nf_conntrack_{name}").read_text())
    for name, value in found.items():
        reading.values[Key("conntrack", inode, "", "", -1, f"nf_conntrack_{name}")] = value


def _read_machine(reading: Reading) -> None:
    """What is of no namespace: the backlog of each CPU."""
    with suppress(OSError):
        text = (_NET / "softnet_stat").read_text()
        reading.moments[MACHINE] = time.monotonic_ns()
        for (cpu, name), value in counter_files.softnet(text).items():
            reading.values[Key("softnet", MACHINE, "", "", cpu, name)] = value


def _cookie(asked: socket.socket) -> int:
    """Which namespace it is, of all there ever were; 0 where the kernel does not tell."""
    try:
        found = asked.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
    except OSError:
        return 0
    return int.from_bytes(found, "little")
