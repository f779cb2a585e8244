"""Silence as looks and RSTs tell of it: whose RSTs count, and which probes come late."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.advice.lasting import Forgotten
from tracer.advice.owner import Owner
from tracer.attribution.processes import ProcessTable
from tracer.flows.owners import FULL, RECEIVED, TAKEN
from tracer.views.advise_silence import Silences
from tracer.views.columns import Facts
from tracer.views.text import Clock
from tracer.wire.layout import Layout, Records

SECOND = 1_000_000_000
RESETS, PEER = 7, b"\0" * 10 + b"\xff\xff\x0a\0\0\x09"


@pytest.fixture
def silences(wire: Layout) -> Silences:
    events = wire.enums["task_event"]
    processes = ProcessTable(events["RENAMED"], events["EXITED"])
    facts = Facts(wire, processes, Clock(0, utc=True))
    return Silences(facts, lambda pid, start: Owner(f"app[{pid}]", pid), traced=True)


def made(wire: Layout, name: str, count: int, **values: object) -> Records:
    rows = np.zeros(count, wire.dtypes[name])
    rows["cookie"] = np.arange(1, count + 1)
    rows["state"] = wire.enums["tcp_state"]["ESTABLISHED"]
    rows["pid"], rows["start"], rows["raddr"] = 99, 7, np.frombuffer(PEER, np.uint8)
    rows["flags"] = FULL | TAKEN | RECEIVED
    rows["last_received_ns"] = rows["last_ack_ns"] = 75 * SECOND
    for column, value in values.items():
        rows[column] = value
    return rows


def resets(wire: Layout, **values: object) -> Records:
    way = wire.enums["reset_way"]["RECEIVED"]
    return made(wire, "reset", RESETS, way=way, **values)


def forgotten(silences: Silences, records: Records) -> list[Forgotten]:
    silences.resets(records)
    return list(silences.forgotten())


def test_rsts_for_what_was_begun_here_while_it_was_traced_share_a_silence(
    wire: Layout, silences: Silences
) -> None:
    exact = wire.enums["dwell_is"]["EXACT"]
    (one,) = forgotten(silences, resets(wire, life_ns=SECOND, life_is=exact))
    assert (one.count, one.of, round(one.after_s)) == (RESETS, RESETS, 75)


def test_so_do_those_that_a_look_had_found_to_be_begun_here(
    wire: Layout, silences: Silences
) -> None:
    silences.connections(made(wire, "open_row", RESETS, role=wire.enums["role"]["ACTIVE"]))
    (one,) = forgotten(silences, resets(wire))
    assert one.count == RESETS


def test_clients_that_end_what_is_idle_with_a_rst_are_no_trouble_of_their_servers(
    wire: Layout, silences: Silences
) -> None:
    exact = wire.enums["dwell_is"]["EXACT"]
    accepted = resets(wire, life_ns=SECOND, life_is=exact, listener_cookie=5)
    assert forgotten(silences, accepted) == []
    silences.connections(made(wire, "open_row", RESETS, role=wire.enums["role"]["PASSIVE"]))
    assert forgotten(silences, resets(wire)) == []


@pytest.mark.parametrize(
    ("idle_ms", "late"), [(7_200_000, 3), (7_199_999, 3), (7_199_000, 0), (7_190_000, 0)]
)
def test_two_hours_of_whole_ticks_are_two_hours(
    wire: Layout, silences: Silences, idle_ms: int, late: int
) -> None:
    silences.connections(made(wire, "open_row", 3, keepalive_idle_ms=idle_ms))
    (one,) = silences.silent()
    assert (one.count, one.without, one.late) == (3, 0, late)
