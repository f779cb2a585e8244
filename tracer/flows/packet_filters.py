"""Rules of packet filters that throw packets away, and by how much their counters grew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """One rule, or a chain's policy; `handle` is nftables' number of it, `nth` parts equal ones."""

    netns: int
    by: str  # nftables, iptables, ip6tables
    table: str
    chain: str
    text: str
    handle: int | None
    nth: int = 0


@dataclass(frozen=True)
class PacketFilters:
    """As they stood: packets by rule, None where no counter says; `unseen` by namespace."""

    packets: dict[Rule, int | None] = field(default_factory=dict)
    unseen: dict[int, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: dict[str, Any], asked: Iterable[int] = ()) -> PacketFilters:
        """From what the kernel's part reads; of these namespaces, or of all."""
        wanted = frozenset(asked)
        packets: dict[Rule, int | None] = {}
        seen = Counter[Rule]()
        for inode, rows in found["rules"].items():
            for row in rows if not wanted or int(inode) in wanted else ():
                names = (row[name] for name in ("by", "table", "chain", "text", "handle"))
                rule = Rule(int(inode), *names)
                packets[rule._replace(nth=seen[rule])] = row["packets"]
                seen[rule] += 1
        unseen = {
            int(inode): tuple(why)
            for inode, why in found["unseen"].items()
            if not wanted or int(inode) in wanted
        }
        return cls(packets, unseen)

    def since(self, before: PacketFilters) -> dict[Rule, int | None]:
        """How many packets each rule refused; of one that is new, or was set to 0, all of them."""
        found: dict[Rule, int | None] = {}
        for rule, now in self.packets.items():
            then = before.packets.get(rule) or 0
            found[rule] = None if now is None else now - then if now >= then else now
        return found
