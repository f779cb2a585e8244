"""The first frame of a session: what was traced, where, and how its records are laid out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tracer.wire.batch import Encoding
from tracer.wire.layout import Layout

VERSION = 1


@dataclass(frozen=True)
class Head:
    """What every view may need to know of a session.

    `started_ns` is CLOCK_MONOTONIC and `offset_ns` what it lacks to wall time, in ns; `filters` are
    the options that narrowed the session, as they were typed, by name; `keeps` says what there is
    besides names: records, counts, sockets, connections, holders, listeners, drops, packets,
    stacks, made, kernel; `attached` is the rung of each subject; `netns` are the inodes asked for,
    none for all; `reset_reasons` are the kernel's names of why it sends a RST, where it has any;
    `costs` says what those take that may be attached later.
    """

    layout: Layout
    encoding: dict[str, Encoding]
    started_ns: int
    offset_ns: int
    initial_pids: bool
    host: str
    kernel: str
    kinds: tuple[str, ...]
    filters: dict[str, str]
    keeps: tuple[str, ...]
    attached: dict[str, str]
    netns: tuple[int, ...]
    reset_reasons: dict[int, str] = field(default_factory=dict)
    costs: dict[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """As a frame carries it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["version"] = VERSION
        values["layout"] = self.layout.to_json()
        return json.dumps(values).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Head:
        """Undo `to_bytes`. Errors: KeyError, TypeError, ValueError for what it did not write."""
        values: dict[str, Any] = json.loads(data)
        return cls(
            layout=Layout.from_json(values["layout"]),
            encoding={tag: Encoding(*pair) for tag, pair in values["encoding"].items()},
            started_ns=int(values["started_ns"]),
            offset_ns=int(values["offset_ns"]),
            initial_pids=bool(values.get("initial_pids", True)),
            host=str(values["host"]),
            kernel=str(values["kernel"]),
            kinds=tuple(values["kinds"]),
            filters=dict(values["filters"]),
            keeps=tuple(values["keeps"]),
            attached=dict(values["attached"]),
            netns=tuple(values["netns"]),
            reset_reasons={int(n): str(v) for n, v in values.get("reset_reasons", {}).items()},
            costs=dict(values.get("costs", {})),
        )


@dataclass(frozen=True)
class Attachment:
    """A subject that was attached, or detached, while the session went on.

    `how` is the rung, `attaching` or `off`, since `mono_ns`; it took `took_us`; `why` says what was
    in the way.
    """

    subject: str
    how: str
    mono_ns: int
    took_us: int
    why: str = ""

    def to_bytes(self) -> bytes:
        """As a frame carries it."""
        return json.dumps(self.__dict__).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Attachment:
        """Undo `to_bytes`. Errors: TypeError, ValueError for what it did not write."""
        return cls(**json.loads(data))
