"""Where sockets were made, as a session tells of it at its end: who called connect(), accept()."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from tracer.wire.stacks import Frames


@dataclass(frozen=True)
class Place:
    """`role` is that of the socket, as enum tt_role has it; frames as of stacks."""

    role: int
    frames: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """`at`: by cookie, which of the places; of sockets older than the session there is none.

    `cut`: cookies of those whose outer calls may lack, as another stack has their place in the
    kernel's table; `unkept`: sockets of which nothing is known, as there was no room.
    """

    places: tuple[Place, ...] = ()
    at: dict[int, int] = field(default_factory=dict)
    cut: frozenset[int] = frozenset()
    unkept: int = 0

    def of(self, cookie: int) -> Place | None:
        """Where this one was made, if that is known."""
        number = self.at.get(cookie)
        return None if number is None else self.places[number]

    def to_bytes(self) -> bytes:
        """As a frame of a recording carries it."""
        places = [[place.role, list(place.frames)] for place in self.places]
        told = {"places": places, "at": self.at, "cut": sorted(self.cut), "unkept": self.unkept}
        return json.dumps(told).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Made:
        """Undo `to_bytes`. Errors: KeyError, TypeError, ValueError for what it did not write."""
        found = json.loads(data)
        places = tuple(Place(role, tuple(frames)) for role, frames in found["places"])
        at = {int(cookie): number for cookie, number in found["at"].items()}
        return cls(places, at, frozenset(found["cut"]), found["unkept"])


def gather(known: dict[int, tuple[int, Frames]], cut: frozenset[int], unkept: int) -> Made:
    """Put those together that were made in the same place; `known` by cookie: role and frames."""
    numbers: dict[Place, int] = {}
    at = {
        cookie: numbers.setdefault(Place(role, tuple(frames)), len(numbers))
        for cookie, (role, frames) in known.items()
    }
    return Made(tuple(numbers), at, cut, unkept)
