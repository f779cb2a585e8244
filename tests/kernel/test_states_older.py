"""`states`: what began before tracing is counted, and no quantile is told as if it were of that."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness import Namespace, Tracer, namespace
from tests.programs.driver import Program
from tests.programs.places import PORT, SILENT, add_silent_host

pytestmark = pytest.mark.kernel

OLDER, YOUNGER = 3, 2


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        add_silent_host(made)
        yield made


@pytest.fixture
def client(ns: Namespace) -> Iterator[Program]:
    with Program("tt-client", ns.enter) as made:
        yield made


def begin(client: Program, first: int, count: int) -> None:
    for name in range(first, first + count):
        client.do("begin", name=str(name), address=SILENT, port=PORT)


def give_up(client: Program, count: int) -> None:
    for name in range(count):
        client.do("close", name=str(name))


def test_what_began_before_tracing_is_told_beside_the_quantiles_with_its_bound(
    ns: Namespace, client: Program
) -> None:
    before_us = time.monotonic_ns() / 1000
    begin(client, 0, OLDER)
    with Tracer("states", "--netns", ns.name) as tracer:
        traced_us = time.monotonic_ns() / 1000
        begin(client, OLDER, YOUNGER)
        client.do("wait_in_vain", name="0", limit_ms=50)
        asked_us = time.monotonic_ns() / 1000
        give_up(client, OLDER + YOUNGER)
        ended_us = time.monotonic_ns() / 1000
        records = tracer.stop()
    (found,) = (
        transition
        for record in records
        for transition in record.get("transitions", [])
        if (transition["old"], transition["new"]) == ("SYN_SENT", "CLOSE")
    )
    assert found["count"] == OLDER + YOUNGER
    assert (found["dwell_us"]["count"], found["dwell_at_least_count"]) == (YOUNGER, OLDER)
    assert asked_us - traced_us < found["dwell_at_least_us"] < ended_us - before_us


@pytest.mark.parametrize(("older", "timed"), [(OLDER, True), (0, False)])
def test_the_table_says_of_how_many_its_quantiles_are(
    ns: Namespace, client: Program, older: int, timed: bool
) -> None:
    begin(client, 0, older)
    with Tracer("states", "--netns", ns.name, json=False) as tracer:
        begin(client, older, YOUNGER)
        give_up(client, older + YOUNGER)
        tracer.stop()
    lines = tracer.stdout.splitlines()
    (head,) = (line.split() for line in lines if line.startswith("TRANSITION"))
    (row,) = (line.split() for line in lines if line.startswith("SYN_SENT -> CLOSE"))
    told = f"{older} began before tracing: at least so long; p50 and p99 are of the TIMED alone"
    assert head[:3] == ["TRANSITION", "COUNT", "TIMED" if timed else "IN"]
    assert row[3] == str(older + YOUNGER)
    assert not timed or row[4] == str(YOUNGER)
    assert row[-1].startswith(">=") == timed
    assert (told in lines) == timed
