"""`counters` as tables and records, from readings that are made up."""

from __future__ import annotations

import json

import pytest

from tracer.attribution.processes import ProcessTable
from tracer.views.columns import Facts
from tracer.views.counters import CountersView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.views.text import Clock
from tracer.wire.counter import MACHINE, Key, Reading
from tracer.wire.head import Head
from tracer.wire.layout import Layout

NS, OTHER = 4026531840, 4026532999
SECOND = 10**9
FAILS = Key("snmp", NS, "", "", -1, "TcpAttemptFails")
SEGMENTS = Key("snmp", NS, "", "", -1, "TcpInSegs")
ESTABLISHED = Key("snmp", NS, "", "", -1, "TcpCurrEstab")
QUEUE = Key("nic", NS, "eth0", "rx-3", -1, "rx3_drops")
DROPPED = Key("softnet", MACHINE, "", "", 3, "softnet_dropped")
TRACKED = Key("conntrack", NS, "", "", -1, "nf_conntrack_count")
MOST = TRACKED._replace(name="nf_conntrack_max")
FIRST = {FAILS: 0, SEGMENTS: 100, ESTABLISHED: 4, QUEUE: 7, DROPPED: 0, TRACKED: 10, MOST: 100}
LATER = {FAILS: 17, SEGMENTS: 900, ESTABLISHED: 2, QUEUE: 419, DROPPED: 0, TRACKED: 95, MOST: 100}


class Lines(Output):
    """Keeps what is written, as on a terminal so wide; 0: on none."""

    def __init__(self, columns: int = 0) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._columns = columns
        self.is_terminal = bool(columns)

    @property
    def width(self) -> int:
        return self._columns

    def write(self, lines: list[str]) -> None:
        self.lines += lines


def show(wire: Layout, look: Look, *, width: int = 0, by: tuple[str, ...] = ()) -> list[str]:
    """What is written of two readings 4 s apart: the total."""
    output = Lines(width)
    view = CountersView(output, Notices(quiet=True), look, by)
    facts = Facts(wire, ProcessTable(0, 0), Clock(0, utc=True))
    head = Head(wire, {}, 10 * SECOND, 0, True, "web-03", "6.1", (), {}, (), {}, ())
    view.begin(facts, head)
    for at, values in ((10, FIRST), (14, LATER)):
        moments = {key.netns: at * SECOND for key in values}
        ids = {(NS, ""): 1, (NS, "eth0"): 2}
        view.reading(Reading(at * SECOND, dict(values), moments, ids))
    view.show(14 * SECOND, total=True)
    return output.lines


def records(wire: Layout, by: tuple[str, ...] = ()) -> dict[str, dict[str, object]]:
    found = map(json.loads, show(wire, Look(form="json"), by=by))
    return {record["name"]: record for record in found}


def test_what_is_wrong_comes_first_then_what_moved_fastest(wire: Layout) -> None:
    lines = show(wire, Look())
    names = [line.split()[0] for line in lines[2:-1]]
    assert names == [
        "rx3_drops",
        "TcpAttemptFails",
        "nf_conntrack_count",
        "TcpInSegs",
        "TcpCurrEstab",
    ]
    assert "+412 !" in lines[2]
    assert "+17 !" in lines[3]
    assert "95 !" in lines[4], "nearly full"
    assert "!" not in lines[5]
    assert lines[-1] == "7 counters of 1 netns, 3 moved in 4s"


def test_rates_are_by_the_second_and_gauges_have_none(wire: Layout) -> None:
    found = records(wire)
    assert (found["TcpInSegs"]["delta"], found["TcpInSegs"]["rate"]) == (800, 200)
    assert (found["TcpCurrEstab"]["delta"], found["TcpCurrEstab"]["rate"]) == (None, None)
    assert (found["TcpCurrEstab"]["value"], found["TcpCurrEstab"]["gauge"]) == (2, True)
    assert (found["rx3_drops"]["dev"], found["rx3_drops"]["queue"]) == ("eth0", "rx-3")
    assert "softnet_dropped" not in found, "it did not move"


def test_a_key_left_out_of_by_is_null(wire: Layout) -> None:
    assert records(wire, ("dev",))["rx3_drops"]["queue"] is None
    assert records(wire, ("name",))["TcpInSegs"]["netns"] is None


@pytest.mark.parametrize("width", [70, 90])
def test_on_a_narrow_terminal_sentences_stand_below(wire: Layout, width: int) -> None:
    lines = show(wire, Look(), width=width)
    assert "MEANING" not in lines[1]
    (told,) = [line for line in lines if line.startswith("TcpAttemptFails: ")]
    assert "came to nothing" in told


def test_on_a_wide_one_they_are_a_column(wire: Layout) -> None:
    lines = show(wire, Look(), width=200)
    assert lines[1].split()[-1] == "MEANING"
    assert not [line for line in lines if line.startswith("TcpAttemptFails: ")]


def test_columns_that_say_nothing_are_left_out_unless_they_are_asked_for(wire: Layout) -> None:
    assert "NETNS" not in show(wire, Look())[1]
    assert show(wire, Look(columns=("NETNS", "DELTA")))[1].split() == ["NETNS", "DELTA"]
