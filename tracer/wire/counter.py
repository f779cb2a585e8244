"""One of the kernel's counters: where it counts, what it is called; and a reading of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# in the order in which they are shown
SOURCES = ("snmp", "snmp6", "netstat", "dev", "nic", "softnet", "conntrack")
MACHINE = 0  # in the place of a namespace: of the whole machine


class Key(NamedTuple):
    """`netns` is an inode, or MACHINE; `queue` as drivers count them (`rx-0`); -1: of no CPU."""

    source: str
    netns: int
    dev: str
    queue: str
    cpu: int
    name: str


@dataclass
class Reading:
    """What stood there when it was looked at.

    `moments` are when each namespace was (CLOCK_MONOTONIC, ns). `ids` tell a namespace, and a
    device by (namespace, name), from a later one of the same number or name; 0: not known.
    """

    began_ns: int
    values: dict[Key, int] = field(default_factory=dict)
    moments: dict[int, int] = field(default_factory=dict)
    ids: dict[tuple[int, str], int] = field(default_factory=dict)
