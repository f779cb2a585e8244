"""What --by knows of `drops`: of which place, of whom, and what takes records."""

from __future__ import annotations

from collections.abc import Callable

from tracer.flows.grouping import AT, PLACE, Numbers
from tracer.views.columns import Facts
from tracer.views.drop_table import Row
from tracer.views.keys import OF_OWNER, By

# counts tell these
OF_PLACE = (
    *("reason", "stage", "answer", "listener", "layer", "location", "direction", "dev", "netns"),
    *("lport", "owner_from"),
)
# these a row says itself; of what else --by knows, its owner or its records do
OF_ROW = frozenset(OF_PLACE) - {"netns", "lport"}


def needs_records(by: By) -> bool:
    """Whether counts do not tell what --by asks for."""
    return not set(by.words) <= {*OF_PLACE, *OF_OWNER}


def label(by: By, facts: Facts, numbers: Numbers | None) -> Callable[[Row], tuple[object, ...]]:
    """A row's values of the keys; `numbers` are those of its groups, where that takes records."""
    told, at_queue = by.label(facts), AT["queue"]

    def name(row: Row) -> tuple[object, ...]:
        if numbers is not None:
            spot = list(numbers.places[row.group])
        else:
            spot = [0] * len(PLACE)
            spot[AT["pid"]], spot[AT["start"]] = row.owner
            spot[AT["netns"]], spot[AT["lport"]] = row.netns or 0, row.port or 0
        own = {**row.words, "rxq": spot[at_queue] - 1 if spot[at_queue] else None}
        return tuple(
            own.get(word) if word in OF_ROW or word == "rxq" else value
            for word, value in zip(by.words, told(spot), strict=True)
        )

    return name
