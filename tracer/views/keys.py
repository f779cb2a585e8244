"""What --by groups by: its words, what each needs of a record, what it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tracer.attribution.cgroups import container_of
from tracer.attribution.processes import Process
from tracer.flows.grouping import AT, Grouping, unmask_address
from tracer.views.columns import Facts
from tracer.views.tables import Column, Row
from tracer.views.text import address, escape

# what each word needs to be kept apart
NEEDS = {
    "role": frozenset[str](),
    "peer": frozenset({"high", "low"}),
    "raddr": frozenset({"high", "low"}),
    "rport": frozenset({"rport"}),
    "lport": frozenset({"lport"}),
    "pid": frozenset({"pid", "start"}),
    "comm": frozenset({"pid", "start"}),
    "cgroup": frozenset({"pid", "start"}),
    "container": frozenset({"pid", "start"}),
    "netns": frozenset({"netns"}),
    "laddr": frozenset({"local_high", "local_low"}),
    "family": frozenset({"family"}),
    "rxq": frozenset({"queue"}),
}
# of the owner alone: counts by owner tell these, all else takes records
OF_OWNER = ("pid", "comm", "cgroup", "container")
# numbers, which stand to the right
NUMBERS = ("rport", "lport", "pid", "netns", "family", "accept_queue_max", "rxq")
Place = Sequence[int]  # PLACE of grouping.py
Label = Callable[[Place], tuple[object, ...]]


@dataclass(frozen=True)
class By:
    """Keys in the order they are shown.

    `peer` is the address of the other side, with `bits` the network of that many bits. Where it is
    told who called (`role`, then always the first), it is the address and port that was called.
    """

    words: tuple[str, ...]
    bits: int | None = None

    @property
    def by_role(self) -> bool:
        """Whether it is told who called."""
        return self.words[:1] == ("role",)

    @property
    def needs_records(self) -> bool:
        """Whether counts by owner do not tell enough."""
        return not set(self.words) <= set(OF_OWNER)

    def grouping(self) -> Grouping:
        """What records are kept apart by."""
        columns = frozenset[str]().union(*(NEEDS.get(word, ()) for word in self.words))
        whole = "peer" in self.words and self.bits is None
        if whole and self.by_role and "rport" not in self.words:
            return Grouping(columns | {"rport"}, None, port_of_active=True)
        return Grouping(columns, self.bits)

    def label(self, facts: Facts) -> Label:
        """A function from PLACE to a value for each of the words; a role is not among them."""
        makers = [self._maker(word, facts) for word in self.words if word != "role"]
        return lambda place: tuple(make(place) for make in makers)

    def _maker(self, word: str, facts: Facts) -> Callable[[Place], object]:
        def owner(place: Place) -> Process | None:
            return facts.process(place[AT["pid"]], place[AT["start"]])

        def group(place: Place) -> str | None:
            process = owner(place)
            return facts.cgroups.get(process.cgroup_id) if process else None

        def of_peer(place: Place) -> object:
            host = _host(place, "high", "low")
            if self.bits is not None:
                return f"{host}/{min(self.bits, 128 if ':' in host else 32)}"
            port = place[AT["rport"]] if self.by_role else 0
            return facts.endpoint(host, port) if port else facts.host(host)

        makers: dict[str, Callable[[Place], object]] = {
            "peer": of_peer,
            "raddr": lambda place: facts.host(_host(place, "high", "low")),
            "laddr": lambda place: facts.host(_host(place, "local_high", "local_low")),
            "pid": lambda place: process.pid if (process := owner(place)) else None,
            "comm": lambda place: process.comm if (process := owner(place)) else None,
            "cgroup": group,
            "container": lambda place: container_of(group(place)),
            "netns": lambda place: place[AT["netns"]],
        }
        at = AT.get(word)
        # a word of the view's own: it knows
        plain = (lambda place: None) if at is None else (lambda place: place[at] or None)
        return makers.get(word, plain)


def _host(place: Place, high: str, low: str) -> str:
    return address(unmask_address(place[AT[high]], place[AT[low]]))


def columns(words: Sequence[str], name: Callable[[Row], tuple[object, ...]]) -> list[Column[Row]]:
    """A column for each word; `name` gives a row's values of them."""
    return [_column(i, word, name) for i, word in enumerate(words)]


def _column(place: int, word: str, name: Callable[[Row], tuple[object, ...]]) -> Column[Row]:
    return Column(word.upper(), lambda row: name(row)[place], _shown, words=word not in NUMBERS)


def _shown(key: object) -> str:
    return escape(str(key))
