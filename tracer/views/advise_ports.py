"""Ephemeral ports as rules see them: from the rows of `ports`, and the settings beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tracer.advice.evidence import Owner, PortUse, Space
from tracer.flows.ports import Use, is_loopback
from tracer.views.port_rows import Row


def port_uses(rows: Sequence[Row], spaces: Sequence[Space]) -> Iterator[PortUse]:
    """One for each way whose ports are known."""
    settings = {one.netns: one.settings for one in spaces}
    for row in rows:
        if row.ports and row.use:
            yield _port_use(row, row.ports, row.use, settings.get(row.way.netns, {}))


def _port_use(row: Row, ports: int, use: Use, settings: dict[str, str]) -> PortUse:
    pid, comm = row.owner
    return PortUse(
        row.local,
        row.remote,
        Owner(row.process(), pid, comm) if comm is not None else Owner(),
        row.way.netns,
        use.live,
        len(use.remains),
        ports,
        str(row.range),
        row.reused,
        row.per_s,
        row.exhausted_in_s,
        row.failures,
        settings.get("tcp_tw_reuse"),
        settings.get("tcp_timestamps") != "0",
        is_loopback(row.way.raddr),
    )
