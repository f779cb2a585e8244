"""What the self-test makes of records: each kind of error is told as what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tracer.attribution.processes import Process, ProcessTable
from tracer.selftest import results, shown
from tracer.selftest.results import KERNEL, Result, compare
from tracer.selftest.trial import Trial
from tracer.selftest.workload import OK, Account
from tracer.views.columns import Facts
from tracer.views.text import Clock
from tracer.wire.layout import Layout, Records

SERVER, CLIENT, PORT, FIRST = 101, 103, 7001, 40001
MS = 1_000_000


@dataclass
class Pair:
    """Stands for a Workload that has run."""

    server: int = SERVER
    client: int = CLIENT
    ports: tuple[int, ...] = (PORT,)
    shut: int = 1


ACCOUNT = Account(
    opened=0, queued=10 * MS, accepts={FIRST + i: (30 * MS, 31 * MS) for i in range(OK)}, kernel={}
)


@pytest.fixture
def facts(wire: Layout) -> Facts:
    events = wire.enums["task_event"]
    processes = ProcessTable(events["RENAMED"], events["EXITED"])
    for pid in (SERVER, CLIENT):
        processes._keep((pid, 7), Process(pid, "program"))
    return Facts(wire, processes, Clock(0, True))


def accepts(facts: Facts) -> Records:
    """As they should be told: all taken 20 ms after they were queued, by the server."""
    made = np.zeros(OK, facts.layout.dtypes["accept"])
    made["pid"], made["start"], made["lport"] = SERVER, 7, PORT
    made["rport"] = FIRST + np.arange(OK)
    made["wait_ns"] = 20 * MS
    return made


def judge(facts: Facts, made: Records, lost: int = 0, missed: int = 0) -> dict[str, Result]:
    untried = dict.fromkeys(results.EXPECTED.keys() - {"accept"}, "not permitted")
    told, work = {"accept": [made]}, Pair()
    found = compare(told, untried, lost, facts, work, ACCOUNT, missed)  # type: ignore[arg-type]
    return {result.subject: result for result in found}


def test_what_is_told_as_it_was_is_exact(facts: Facts) -> None:
    found = judge(facts, accepts(facts))
    assert all(found[name].is_exact for name in ("accept", "owner", "lost"))
    assert (found["accept"].found, found["owner"].expected) == (OK, OK)


@pytest.mark.parametrize("wait_ms", [0, 18, 32, 500])
def test_a_wait_that_the_servers_clock_denies_is_an_error(facts: Facts, wait_ms: int) -> None:
    made = accepts(facts)
    made["wait_ns"][3] = wait_ms * MS
    result = judge(facts, made)["accept"]
    assert (result.found, result.surplus, result.is_exact) == (OK - 1, 1, False)


@pytest.mark.parametrize("pid", [CLIENT, 0, 99])
def test_another_owner_is_an_error(facts: Facts, pid: int) -> None:
    made = accepts(facts)
    made["pid"][3] = pid
    result = judge(facts, made)["owner"]
    assert (result.found, result.surplus, result.why) == (OK - 1, 1, "1 wrong")


def test_one_that_is_missing_and_one_too_many_are_errors(facts: Facts) -> None:
    made = accepts(facts)
    assert not judge(facts, made[1:])["accept"].is_exact
    assert judge(facts, made[1:])["owner"].why == "1 not told"
    twice = judge(facts, np.concatenate([made, made[:1]]))["accept"]
    assert (twice.found, twice.surplus, twice.is_exact) == (OK, 1, False)


def test_what_was_lost_and_what_the_kernel_counts_otherwise_are_errors(facts: Facts) -> None:
    found = judge(facts, accepts(facts), lost=2)
    assert (found["lost"].is_exact, found["lost"].why) == (False, "2 lost")
    assert found["kernel"].expected == sum(KERNEL.values()) > 0
    assert not found["kernel"].is_exact


def test_runs_that_were_skipped_are_others_where_all_is_told(facts: Facts) -> None:
    assert judge(facts, accepts(facts), lost=2, missed=2)["lost"].is_exact
    assert judge(facts, accepts(facts), lost=3, missed=2)["lost"].why == "1 lost"
    assert judge(facts, accepts(facts)[1:], lost=2, missed=2)["lost"].why == "2 lost"


def dropped(facts: Facts, *flags: int) -> Records:
    made = np.zeros(len(flags), facts.layout.dtypes["drop"])
    made["tcp_flags"], made["reason"] = flags, 2
    return made


def test_of_what_is_dropped_the_syns_are_those_that_were_made(facts: Facts) -> None:
    syn, ack = 2, 16
    syns, strays = results.split_drops(dropped(facts, syn, ack, syn, syn | ack, syn), facts)
    assert (syns["tcp_flags"].tolist(), strays) == ([syn] * 3, 2)


@pytest.mark.parametrize(
    ("resets", "strays", "exact"),
    [(0, 0, True), (1, 1, True), (0, 1, True), (1, 0, False), (2, 1, False), (-1, 1, False)],
)
def test_the_kernel_may_have_reset_as_many_more_as_strays_and_no_other(
    facts: Facts, resets: int, strays: int, exact: bool
) -> None:
    account = replace(ACCOUNT, kernel={**KERNEL, "OutRsts": KERNEL["OutRsts"] + resets})
    untried = dict.fromkeys(results.EXPECTED, "not permitted")
    found = compare({}, untried, 0, facts, Pair(), account, strays=strays)  # type: ignore[arg-type]
    assert found[-1].is_exact == exact


def test_what_was_not_tried_is_neither_well_nor_wrong(facts: Facts) -> None:
    found = judge(facts, accepts(facts))
    trial = Trial(list(found.values()), {"accept": "fexit"})
    told = {document["subject"]: document for document in shown.documents(trial)}
    assert told["state"]["status"] == "unknown"
    assert (told["accept"]["status"], told["accept"]["attach"]) == ("works", "fexit")
    assert told["kernel"]["status"] == "impossible"
    first, *more = shown.lines(trial)
    assert first.startswith("state -/138 handshake -/33 accept 11/11 syn_drop -/3 drop -/8 owner ")
    assert "state: not permitted" in more
