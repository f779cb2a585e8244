"""What --help says of columns is about columns that there are."""

from __future__ import annotations

import pytest

from tracer.views import (
    accept_table,
    connection_columns,
    counters,
    drop_table,
    ended,
    handshake_table,
    listeners,
    port_rows,
    reset_groups,
    retransmit_table,
    states,
    top_rows,
)
from tracer.views.meanings import COLUMNS, columns

TITLES = {
    "states": {c.title for c in (*states.PROCESS, *states.NUMBERS)}
    | {c.title for c in (*states.TRANSITIONS, states.TIMED)},
    "accepts": {"LISTENER", "ACCEPTED BY", "PEER", *(c.title for c in accept_table.NUMBERS)},
    "handshakes": {"ROLE", "PEER", *(c.title for c in handshake_table.NUMBERS)},
    "connections": {
        c.title
        for group in ("COLUMNS", "RATES", "MEASURES")
        for c in getattr(connection_columns, group)
    }
    | {c.title for c in ended.COLUMNS},
    "listeners": {c.title for c in listeners.COLUMNS},
    "drops": {c.title for c in drop_table.COLUMNS},
    "ports": {c.title for c in port_rows.COLUMNS},
    "top": {c.title for c in (*top_rows.PROCESS, *top_rows.NUMBERS, top_rows.UNIT)},
    "counters": {c.title for c in counters.COLUMNS},
    "resets": {word.upper() for word in reset_groups.DEFAULT}
    | {c.title for c in reset_groups.NUMBERS},
    "retransmits": {"TYPE", "PID", "COMM", "PEER"}
    | {c.title for c in (*retransmit_table.NUMBERS, retransmit_table.SHARE)},
}
# what they are called says it all
PLAIN = {"PID", "PEER", "LISTENER", "COUNT", "LPORT", "NETNS", "p50", "p99", "max", "REFUSED"}
PLAIN |= {"RESET", "SYN_SENT", "LISTEN", "TIME_WAIT", "SYNQ", "IN FIRST STATE: p50"}
PLAIN |= {
    "LADDR",
    "OUT",
    "OUT/s",
    "MINRTT",
    "MSS",
    "UID",
    "ENDED BY",
    "DEV",
    "QUEUE",
    "CPU",
    "OPENED",
}
PLAIN |= {"COMM", "REMOTE"}
PLAIN |= {"SEGS/s"}


@pytest.mark.parametrize("command", COLUMNS)
def test_every_column_is_explained_and_none_that_is_not_there(command: str) -> None:
    explained = set(COLUMNS[command])
    assert explained <= TITLES[command]
    assert TITLES[command] - explained <= PLAIN


@pytest.mark.parametrize("command", COLUMNS)
def test_the_explanation_fits_a_narrow_terminal(command: str) -> None:
    assert max(map(len, columns(command).splitlines())) <= 78
