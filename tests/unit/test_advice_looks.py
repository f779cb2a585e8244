"""Evidence of two looks at connections is of two, and of the time between them."""

from __future__ import annotations

import numpy as np
import pytest

from tracer.advice import accept_queue
from tracer.advice.finding import Finding
from tracer.advice.rules import Advice, judge
from tracer.attribution.processes import ProcessTable
from tracer.flows.owners import FULL, ORPHAN, TAKEN
from tracer.views.advise_evidence import Gathered
from tracer.views.columns import Facts
from tracer.views.live import advising
from tracer.views.live.advising import Advising
from tracer.views.text import Clock
from tracer.wire.head import Head
from tracer.wire.layout import Layout, Records

SECOND = 1_000_000_000
APP = (2201, 7)
UNREAD, HALF_CLOSED, CLOSED_BY_PEER, LEFT = 3, 11, 12, 103
OF_TWO = {"not-reading", "held-back", "receive-buffer", "fin-wait2"}


@pytest.fixture
def facts(wire: Layout) -> Facts:
    events = wire.enums["task_event"]
    processes = ProcessTable(events["RENAMED"], events["EXITED"])
    tasks = np.zeros(1, wire.dtypes["task_row"])
    tasks["pid"], tasks["local_pid"], tasks["start"], tasks["comm"] = 2201, 2201, 7, b"app"
    processes.add_rows(tasks)
    return Facts(wire, processes, Clock(0, utc=True))


@pytest.fixture
def head(wire: Layout) -> Head:
    return Head(wire, {}, SECOND, 0, True, "web-03", "6.1", ("handshake",), {}, (), {}, ())


def rows_in(wire: Layout, state: str, first: int, count: int, **values: int) -> Records:
    rows = np.zeros(count, wire.dtypes["open_row"])
    rows["cookie"], rows["state"] = np.arange(first, first + count), wire.enums["tcp_state"][state]
    rows["flags"], rows["netns"] = FULL | TAKEN, 7
    rows["owner_is"] = wire.enums["owner_is"]["PROCESS"]
    rows["pid"], rows["start"] = APP
    for name, value in values.items():
        rows[name] = value
    return rows


def look(wire: Layout, at_s: float) -> Records:
    """What nobody reads, shuts down, closes or follows, and that never changes."""
    old = {"age_ns": 90 * SECOND}
    rows = np.concatenate(
        [
            rows_in(wire, "ESTABLISHED", 1000, UNREAD, rx_bytes=9000, recv_queue=8000),
            rows_in(wire, "FIN_WAIT2", 2000, HALF_CLOSED),
            rows_in(wire, "CLOSE_WAIT", 3000, CLOSED_BY_PEER, **old),
            rows_in(wire, "FIN_WAIT2", 4000, LEFT, flags=0, pid=0, start=0),
        ]
    )
    rows["mono_ns"] = int(at_s * SECOND)
    return rows


def found(facts: Facts, head: Head, span_s: float, *looks: Records) -> Advice:
    gathered = Gathered(facts, head, traced=True)
    for one in looks:
        gathered.connections(one, 0)
    return judge(gathered.evidence(int(span_s * SECOND)))


def by_id(advice: Advice) -> dict[str, list[Finding]]:
    ids = {one.id for one in advice.findings}
    return {ident: [one for one in advice.findings if one.id == ident] for ident in ids}


def test_one_look_in_a_long_span_says_nothing_of_what_two_would_show(
    wire: Layout, facts: Facts, head: Head
) -> None:
    advice = found(facts, head, 100.0, look(wire, 90))
    assert {one.id for one in advice.findings} == {"close-wait-leak"}
    assert set(advice.blind) >= OF_TWO
    (leak,) = advice.findings
    assert leak.meaning.endswith("a leak, or it is slow; one look cannot tell")
    assert (leak.numbers["before"], leak.numbers["per_minute"]) == (None, None)


def test_two_looks_a_second_apart_are_no_long_time_however_long_the_span(
    wire: Layout, facts: Facts, head: Head
) -> None:
    advice = found(facts, head, 100.0, look(wire, 90), look(wire, 91))
    assert {one.id for one in advice.findings} == {"close-wait-leak"}
    assert "one look cannot tell" in advice.findings[0].meaning


def test_what_two_looks_show_is_told_with_the_time_between_them(
    wire: Layout, facts: Facts, head: Head
) -> None:
    later = np.concatenate([look(wire, 95), rows_in(wire, "CLOSE_WAIT", 5000, 6)])
    advice = by_id(found(facts, head, 100.0, look(wire, 70), later))
    (unread,), (leak,) = advice["not-reading"], advice["close-wait-leak"]
    assert unread.title == f"{UNREAD} connections with data that nobody has read in 25 s"
    assert (leak.numbers["kept"], leak.numbers["per_minute"]) == (CLOSED_BY_PEER, 6 * 60 / 25)
    assert f"0 of {CLOSED_BY_PEER} left the state in 25 s" in leak.shown
    held, ownerless = sorted(advice["fin-wait2"], key=lambda one: one.pid is None)
    assert (held.pid, held.numbers["fin_wait2"]) == (APP[0], HALF_CLOSED)
    assert f"{HALF_CLOSED} of them at both looks, and nothing came in 25 s" in held.shown
    assert ownerless.title == f"{LEFT} closed connections wait for the peer to close in 25 s"


def test_a_pane_that_was_left_and_opened_again_waits_for_its_second_look(
    wire: Layout, facts: Facts, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advising, "SHARE", 0)  # it is judged whenever it is looked at
    pane = Advising(facts, head, 0, whole=False)

    def after(at_s: int, looks: bool) -> Advice:
        pane.tick(at_s * SECOND)
        if looks:
            pane.connections(look(wire, at_s))
        return judged(pane, at_s)

    assert not {one.id for one in after(3, looks=True).findings} & OF_TWO
    assert {"not-reading", "fin-wait2"} <= {one.id for one in after(33, looks=True).findings}
    for second in range(34, 234):  # left
        after(second, looks=False)
    back = after(234, looks=True)
    assert not {one.id for one in back.findings} & OF_TWO
    assert set(back.blind) >= OF_TWO
    assert "in 7 s" in by_id(after(241, looks=True))["not-reading"][0].title


def judged(pane: Advising, at_s: int) -> Advice:
    shown = pane.picture(at_s * SECOND)
    return Advice(shown.findings, shown.quiet, shown.blind)


# --- queues -----------------------------------------------------------------------


def full_queue(wire: Layout, at_s: int, full_s: int) -> Records:
    row = np.zeros(1, wire.dtypes["listener_row"])
    row["cookie"], row["port"], row["pid"], row["start"] = 9, 80, *APP
    row["accept_queue"], row["accept_queue_max"] = 5, 4
    row["looked_ns"], row["full_ns"] = at_s * SECOND, full_s * SECOND
    return row


def test_a_queue_was_full_until_the_last_look_and_no_look_says_it_still_is(
    wire: Layout, facts: Facts, head: Head
) -> None:
    gathered = Gathered(facts, head, traced=True)
    gathered.listeners(full_queue(wire, at_s=2, full_s=1))
    (one,) = gathered.evidence(39 * SECOND).listenings
    assert (one.full_s, accept_queue.find(gathered.evidence(39 * SECOND))) == (1, [])
    gathered.from_now_on(40 * SECOND)
    (one,) = gathered.evidence(5 * SECOND).listenings
    assert one.full_s == 0
    gathered.listeners(full_queue(wire, at_s=46, full_s=45))
    (one,) = gathered.evidence(10 * SECOND).listenings
    assert one.full_s == 6  # of this span


# --- whose they are ---------------------------------------------------------------


@pytest.mark.parametrize("owner", [APP, (0, 0)], ids=["known from tracing", "not known"])
def test_an_orphan_is_nobodys_though_it_is_known_who_closed_it(
    wire: Layout, facts: Facts, head: Head, owner: tuple[int, int]
) -> None:
    orphans = {"flags": FULL | TAKEN | ORPHAN, "pid": owner[0], "start": owner[1]}
    rows = np.concatenate(
        [
            rows_in(wire, "FIN_WAIT2", 1000, LEFT, **orphans),
            rows_in(wire, "FIN_WAIT1", 2000, 5, **orphans),
            rows_in(wire, "LAST_ACK", 3000, 2, **orphans),
        ]
    )
    later = rows.copy()
    rows["mono_ns"], later["mono_ns"] = SECOND, 9 * SECOND
    (one,) = found(facts, head, 10.0, rows, later).findings
    assert (one.id, one.pid) == ("fin-wait2", None)
    assert (one.numbers["fin_wait2"], one.numbers["unacknowledged"]) == (LEFT, 7)
    assert one.numbers["orphans"] == LEFT + 7


@pytest.mark.parametrize(
    ("sent", "busy_s", "held"),
    [
        (100_000_000, 2, 1),  # much, and TCP idle for most of the time
        (100_000_000, 6, 0),  # busy with it
        (9_000_000, 2, 0),  # less than anybody would call much
        (0, 0, 0),  # idle
    ],
)
def test_a_connection_waits_for_its_application_where_it_carries_much_and_tcp_is_idle(
    wire: Layout, facts: Facts, head: Head, sent: int, busy_s: int, held: int
) -> None:
    first, last = (rows_in(wire, "ESTABLISHED", 1000, 1) for _ in range(2))
    last["tx_bytes"], last["busy_ns"] = sent, busy_s * SECOND
    first["mono_ns"], last["mono_ns"] = 10 * SECOND, 20 * SECOND
    findings = by_id(found(facts, head, 10.0, first, last)).get("held-back", [])
    assert [one.numbers["held_by"] for one in findings] == ["application"] * held
    assert all(one.numbers["limited_s"] == 10 - busy_s for one in findings)
