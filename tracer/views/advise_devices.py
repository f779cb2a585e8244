"""What devices and CPUs lost as rules see it: their counters at the begin and at the end."""

from __future__ import annotations

from tracer.advice.evidence import LostBefore
from tracer.flows.devices import Devices
from tracer.views.text import escape


class LostByDevices:
    """What was told so far; `of_cpus`: those too, which are of the machine."""

    def __init__(self, of_cpus: bool) -> None:
        self._of_cpus = of_cpus
        self._first: Devices | None = None
        self._last: Devices | None = None

    def add(self, found: Devices) -> None:
        """Take counters as they stand."""
        if self._first is None:
            self._first = found
        else:
            self._last = found

    @property
    def has(self) -> set[str]:
        """What there is to judge by."""
        return {"devices"} if self._first and self._last else set()

    def told(self) -> tuple[LostBefore, ...]:
        """One for each device, and each CPU, of which any counter moved."""
        if self._first is None or self._last is None:
            return ()
        found: dict[tuple[int | None, str | None, int | None], dict[str, int]] = {}
        for one in self._last.since(self._first):
            if one.device is None and not self._of_cpus:
                continue
            found.setdefault((one.netns, one.device, one.cpu), {})[one.counter] = one.count
        return tuple(
            LostBefore(_name(*place), escape(place[1] or ""), lost, place[0])
            for place, lost in found.items()
        )


def _name(netns: int | None, device: str | None, cpu: int | None) -> str:
    if device is None:
        return f"CPU {cpu}"
    return f"{escape(device)} of network namespace {netns}"
