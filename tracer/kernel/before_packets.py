"""What is lost before there is a packet buffer, or beside it: counters of devices, queues and CPUs.

No program sees it, and no reason is given: the device's ring was full, a frame was damaged, or a
CPU left its packets waiting.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

from tracer.kernel import counter_files, devices, iterators

# of devices.STATS what tells of something lost
OF_DEVICE = (
    *("rx_errors", "tx_errors", "rx_dropped", "tx_dropped", "rx_over_errors", "rx_fifo_errors"),
    *("rx_missed_errors", "tx_fifo_errors", "tx_carrier_errors", "rx_nohandler"),
)
# of what a driver counts for a queue; each has its own names
OF_QUEUE = re.compile(r"drop|miss|discard|no_?buf|err|timeout")
OF_CPU = ("dropped", "time_squeeze")
SOFTNET = Path("/proc/net/softnet_stat")

Devices = dict[int, dict[str, dict[str, int]]]


def read(wanted: set[int] | None) -> dict[str, Any]:
    """`devices`: counters by namespace, device and name; `softnet`: by CPU and name."""
    found: Devices = {}
    for inode, path in iterators.network_namespaces().items():
        if wanted is not None and inode not in wanted:
            continue
        here: dict[str, dict[str, int]] = {}
        try:
            iterators.in_namespace(path, lambda here=here: _read_here(here))  # type: ignore[misc]
        except OSError:
            continue  # its last process ended, or it may not be entered
        found[inode] = here
    return {"devices": found, "softnet": parse_softnet(SOFTNET.read_text())}


def _read_here(found: dict[str, dict[str, int]]) -> int:
    """Devices of the namespace that this thread is in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, device, counters in devices.links():
            of_driver = devices.driver_counters(asked, device)
            found[device] = {name: counters[name] for name in OF_DEVICE if name in counters} | {
                name: value
                for name, value in of_driver.items()
                if devices.queue_of(name) and OF_QUEUE.search(name)
            }
    return len(found)


def parse_softnet(text: str) -> dict[int, dict[str, int]]:
    """Of /proc/net/softnet_stat: packets dropped, and how often a CPU ran out of time."""
    found: dict[int, dict[str, int]] = {}
    for (cpu, name), value in counter_files.softnet(text).items():
        short = name.removeprefix("softnet_")
        if short in OF_CPU:
            found.setdefault(cpu, {})[short] = value
    return found
