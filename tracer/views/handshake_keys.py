"""What `handshakes` groups by: the words of --by, what they need of a record, what they show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracer.flows.handshakes import COLUMN, Grouping, Keys, unmask_address
from tracer.views.columns import Facts
from tracer.views.text import address, endpoint

# what each word needs to be kept apart
NEEDS = {
    "role": frozenset[str](),
    "peer": frozenset({"high", "low"}),
    "raddr": frozenset({"high", "low"}),
    "rport": frozenset({"rport"}),
    "lport": frozenset({"lport"}),
    "pid": frozenset({"pid", "start"}),
    "comm": frozenset({"pid", "start"}),
    "netns": frozenset({"netns"}),
}
WORDS = [*NEEDS, "peer/N"]
Label = Callable[[Keys], tuple[object, ...]]


@dataclass(frozen=True)
class By:
    """Keys in the order they are shown; the role is always the first.

    `peer` is the address and port that was called, and the address alone of one that called here;
    with `bits`, the network of that many bits.
    """

    words: tuple[str, ...] = ("role", "peer")
    bits: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The keys as records name them."""
        return ("role", *(word for word in self.words if word != "role"))

    def grouping(self) -> Grouping:
        """What attempts are kept apart by."""
        columns = frozenset[str]().union(*(NEEDS[word] for word in self.words))
        whole = "peer" in self.words and self.bits is None
        if whole and "rport" not in self.words:
            return Grouping(columns | {"rport"}, None, port_of_active=True)
        return Grouping(columns, self.bits)

    def label(self, facts: Facts) -> Label:
        """A function from (role, *PLACE) to a value for each of `names`."""
        makers = [self._maker(name, facts) for name in self.names]
        return lambda row: tuple(make(row) for make in makers)

    def _maker(self, name: str, facts: Facts) -> Callable[[Keys], object]:
        def whose(row: Keys, attribute: str) -> object:
            process = facts.process(int(row[COLUMN["pid"]]), int(row[COLUMN["start"]]))
            return getattr(process, attribute) if process else None

        def of_peer(row: Keys) -> object:
            host = self._host(row)
            if self.bits is not None:
                return f"{host}/{min(self.bits, 128 if ':' in host else 32)}"
            return endpoint(host, port) if (port := _active_port(row, facts)) else host

        return {
            "role": lambda row: facts.roles[int(row[COLUMN["role"]])],
            "peer": of_peer,
            "raddr": self._host,
            "rport": lambda row: int(row[COLUMN["rport"]]) or None,
            "lport": lambda row: int(row[COLUMN["lport"]]) or None,
            "pid": lambda row: whose(row, "pid"),
            "comm": lambda row: whose(row, "comm"),
            "netns": lambda row: int(row[COLUMN["netns"]]),
        }[name]

    @staticmethod
    def _host(row: Keys) -> str:
        return address(unmask_address(int(row[COLUMN["high"]]), int(row[COLUMN["low"]])))


def _active_port(row: Keys, facts: Facts) -> int:
    active = facts.roles[int(row[COLUMN["role"]])] == "active"
    return int(row[COLUMN["rport"]]) if active else 0
