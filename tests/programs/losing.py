"""A namespace that loses packets by a known rule, as they arrive or as they are sent."""

from __future__ import annotations

import json

from tests.harness import Namespace

DATA = "meta length > 90"  # neither SYN, FIN nor a bare ACK is as long


class Losing:
    """Rules of nftables in a namespace; each loses some of the packets that fit it, in order.

    `hook` is input, where a packet of the loopback has been sent and is then lost, or output,
    where the sender is told that it could not be.
    """

    def __init__(self, ns: Namespace, hook: str = "input") -> None:
        self._ns, self._hook = ns, hook
        ns.run("nft", "add", "table", "inet", "losing")
        chain = f"{{ type filter hook {hook} priority 0; }}"
        ns.run("nft", "add", "chain", "inet", "losing", self._hook, chain)

    def lose(self, what: str, first: int = 0, count: int = 1 << 20, every: int = 1 << 20) -> None:
        """Of the packets that are so, lose `count` from the `first` on, of `every` so many."""
        numbered = f"numgen inc mod {every} {first}-{first + count - 1}"
        if (first, count, every) == (0, 1 << 20, 1 << 20):
            numbered = ""
        rule = f"{what} {numbered} counter drop"
        self._ns.run("nft", "add", "rule", "inet", "losing", self._hook, *rule.split())

    def stop(self) -> None:
        """Lose nothing more."""
        self._ns.run("nft", "flush", "chain", "inet", "losing", self._hook)

    def lost(self) -> int:
        """Packets that the rules have lost."""
        listed = json.loads(
            self._ns.run("nft", "-j", "list", "chain", "inet", "losing", self._hook)
        )
        rules = [one["rule"]["expr"] for one in listed["nftables"] if "rule" in one]
        return sum(part["counter"]["packets"] for r in rules for part in r if "counter" in part)
