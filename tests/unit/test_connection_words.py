"""What is said below a table of open connections, and how the table fits a terminal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracer.attribution.processes import ProcessTable
from tracer.flows.owners import FULL, RECEIVED
from tracer.views.columns import Facts, rows
from tracer.views.connection_columns import COLUMNS, MEASURES, RATES, Row
from tracer.views.connection_words import notable
from tracer.views.tables import Table, render
from tracer.views.text import Clock
from tracer.wire.layout import Layout, Records

SECOND = 10**9
LEAKER, READER = (41, 1), (42, 1)


@pytest.fixture
def facts(wire: Layout) -> Facts:
    events = wire.enums["task_event"]
    processes = ProcessTable(events["RENAMED"], events["EXITED"])
    tasks = np.zeros(2, wire.dtypes["task_row"])
    for row, (pid, start), comm in zip(
        tasks, (LEAKER, READER), (b"java", b"\x1b[31mx"), strict=True
    ):
        row["pid"] = row["local_pid"] = pid
        row["start"], row["comm"] = start, comm
    processes.add_rows(tasks)
    return Facts(wire, processes, Clock(0, utc=True))


def made(wire: Layout, *sockets: dict[str, Any], state: str = "ESTABLISHED") -> Records:
    found = np.zeros(len(sockets), wire.dtypes["open_row"])
    for row, values in zip(found, sockets, strict=True):
        row["state"] = wire.enums["tcp_state"][values.pop("in_state", state)]
        row["pid"], row["start"] = values.pop("owner", LEAKER)
        row["holders"], row["flags"], row["family"] = 1, FULL | RECEIVED, 4
        row["raddr"], row["rport"] = np.frombuffer(b"\0" * 10 + b"\xff\xff\x0a\0\0\x07", "u1"), 443
        for name, value in values.items():
            row[name] = value
    return found


def test_nothing_is_said_of_what_is_under_way(wire: Layout, facts: Facts) -> None:
    young = {"recv_queue": 9, "send_queue": 9, "last_received_ns": SECOND - 1, "last_ack_ns": 5}
    assert notable(made(wire, young, {"in_state": "CLOSE_WAIT"}), facts) == []
    assert notable(made(wire), facts) == []


def test_the_biggest_pile_of_what_was_not_closed_is_named(wire: Layout, facts: Facts) -> None:
    found = made(
        wire,
        *({"recv_queue": n} for n in (0, 0, 5, 0)),
        *({"owner": READER} for _ in range(3)),
        state="CLOSE_WAIT",
    )
    (line,) = notable(found, facts)
    assert line == (
        "java[41]: 4 in CLOSE_WAIT, 3 of them with nothing unread: their peers have closed,"
        " it has not"
    )


def test_what_nobody_reads_is_told_with_its_process_and_the_deepest(
    wire: Layout, facts: Facts
) -> None:
    found = made(
        wire,
        {"recv_queue": 900, "last_received_ns": 7 * SECOND, "owner": READER},
        {"recv_queue": 300, "last_received_ns": 5 * SECOND, "owner": READER, "rport": 80},
        {"recv_queue": 1000, "last_received_ns": 9 * SECOND},
    )
    (line,) = notable(found, facts)
    assert line == (
        "\\x1b[31mx[42]: 1.20k bytes unread for 5s or longer in 2 connections, most of all from"
        " 10.0.0.7:443: 900"
    )


def test_what_nobody_acknowledges_is_told(wire: Layout, facts: Facts) -> None:
    (line,) = notable(made(wire, {"send_queue": 1500, "last_ack_ns": 2 * SECOND}), facts)
    assert line.startswith("1 connection with 1.50k bytes that peers have not acknowledged")


def test_what_holds_a_sender_up_is_named_with_its_share(wire: Layout, facts: Facts) -> None:
    held = {"busy_ns": 10 * SECOND, "rwnd_limited_ns": 9 * SECOND, "sndbuf_limited_ns": SECOND}
    less = {"busy_ns": 10 * SECOND, "sndbuf_limited_ns": 4 * SECOND, "rport": 80}
    (line,) = notable(made(wire, less, held), facts)
    assert line == (
        "java[41] to 10.0.0.7:443: held up by the receiver's window for 90% of the 10s that it had"
        " data to send"
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_a_row_fits_the_terminal_whatever_it_holds(wire: Layout, facts: Facts, width: int) -> None:
    big: dict[str, Any] = {
        "tx_bytes": 10**15,
        "rx_bytes": 10**12,
        "recv_queue": 6_291_456,
        "life_ns": 10**18,
    }
    big |= {"srtt_us": 4 * 10**8, "congestion": b"bbr", "cwnd": 10**5, "inode": 10**7}
    found = made(wire, big, {"owner": (0, 0)}, state="CLOSE_WAIT")
    table = Table(
        (*COLUMNS, *RATES, *MEASURES),
        [Row(socket, facts, 1e9, float("nan"), False) for socket in rows(found, "Socket")],
    )
    lines = render([table], "table", width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 3
    assert "CLOSE_WAIT" in lines[1]
    assert "6.29M" in lines[1]
