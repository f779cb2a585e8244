"""What --help says of columns is about columns that there are."""

from __future__ import annotations

import pytest

from tracer.views import accepts, drops, handshake_words, listeners, states
from tracer.views.meanings import COLUMNS, columns

TITLES = {
    "states": {h.title for h in (*states.HEADINGS, *states.TRANSITIONS)},
    "accepts": {"LISTENER", "ACCEPTED BY", "PEER", *(h.title for h in accepts.NUMBERS)},
    "handshakes": {"ROLE", "PEER", *handshake_words.OTHER_COLUMNS},
    "listeners": {h.title for h in listeners.HEADINGS},
    "drops": {h.title for h in (*drops.HEADINGS, drops.NETNS)},
}
# what they are called says it all
PLAIN = {"PID", "PEER", "LISTENER", "COUNT", "LPORT", "NETNS", "p50", "p99", "max", "REFUSED"}
PLAIN |= {"RESET", "SYN_SENT", "LISTEN", "TIME_WAIT", "SYNQ", "IN FIRST STATE: p50"}


@pytest.mark.parametrize("command", COLUMNS)
def test_every_column_is_explained_and_none_that_is_not_there(command: str) -> None:
    explained = set(COLUMNS[command])
    assert explained <= TITLES[command]
    assert TITLES[command] - explained <= PLAIN


@pytest.mark.parametrize("command", COLUMNS)
def test_the_explanation_fits_a_narrow_terminal(command: str) -> None:
    assert max(map(len, columns(command).splitlines())) <= 78
