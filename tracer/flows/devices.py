"""What devices, their queues and CPUs counted as lost, of one span."""

from __future__ import annotations

from dataclasses import dataclass, field

Counters = dict[str, int]


@dataclass(frozen=True)
class Lost:
    """One counter that moved: of a device in a namespace, or of a CPU."""

    netns: int | None
    device: str | None
    cpu: int | None
    counter: str
    count: int


@dataclass(frozen=True)
class Devices:
    """Counters as they stood: of devices by namespace and name, of CPUs by number."""

    devices: dict[tuple[int, str], Counters] = field(default_factory=dict)
    cpus: dict[int, Counters] = field(default_factory=dict)

    def since(self, before: Devices) -> list[Lost]:
        """What moved; of a device that was not there before, all of it."""
        found = []
        for (netns, name), counters in self.devices.items():
            base = before.devices.get((netns, name), {})
            found += [
                Lost(netns, name, None, counter, value - base.get(counter, 0))
                for counter, value in counters.items()
                if value > base.get(counter, 0)
            ]
        for cpu, counters in self.cpus.items():
            base = before.cpus.get(cpu, {})
            found += [
                Lost(None, None, cpu, counter, value - base.get(counter, 0))
                for counter, value in counters.items()
                if value > base.get(counter, 0)
            ]
        return found
