"""--since and --until: what is typed, and the moment of a recording that it means."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tracer.cli.moments import moment
from tracer.errors import UsageError
from tracer.wire.head import Head
from tracer.wire.layout import Layout

SECOND = 10**9
BEGAN = datetime.datetime(2026, 7, 1, 23, 50, tzinfo=datetime.UTC)
STARTED = 1000 * SECOND  # CLOCK_MONOTONIC


@pytest.fixture
def head(wire: Layout) -> Head:
    return Head(
        layout=wire,
        encoding={},
        started_ns=STARTED,
        offset_ns=int(BEGAN.timestamp()) * SECOND - STARTED,
        initial_pids=True,
        host="test",
        kernel="6.0",
        kinds=("state",),
        filters={},
        keeps=("records",),
        attached={},
        netns=(),
    )


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "after_s"),
    [
        ("+30s", 30),
        ("+1m", 60),
        ("-1m", 1200 - 60),
        ("23:55", 300),
        ("23:50:02.5", 2.5),
        ("00:05", 900),
        ("23:49", -60),
        ("2026-07-01T23:51:00Z", 60),
        ("2026-07-01 23:51", 60),
        ("2026-07-02T01:51:00+02:00", 60),
        ("2026-07-02", 600),
    ],
)
def test_a_moment_is_found_from_begin_end_clock_or_calendar(
    head: Head, typed: str, after_s: float
) -> None:
    ended = STARTED + 1200 * SECOND
    found = moment(typed, "--since").find(head, True, ended)
    assert found == STARTED + round(after_s * SECOND)


def test_without_utc_a_moment_is_in_the_zone_of_the_output(head: Head, in_berlin: None) -> None:
    ended = STARTED + 1200 * SECOND
    for typed in ("01:55", "2026-07-02 01:55"):
        assert moment(typed, "--since").find(head, False, ended) == STARTED + 300 * SECOND


def test_what_counts_from_an_end_that_is_not_known_says_so(head: Head) -> None:
    with pytest.raises(UsageError) as caught:
        moment("-1m", "--until").find(head, True, None)
    assert "--until -1m counts from the end" in caught.value.message


@pytest.mark.parametrize("typed", ["", "soon", "25:00", "12:60", "12", "+", "+x", "2026-13-01"])
def test_what_is_no_moment_is_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        moment(typed, "--since")


def test_a_clock_that_stepped_before_the_session_changes_no_moment(head: Head) -> None:
    later = replace(head, started_ns=STARTED + 5 * SECOND, offset_ns=head.offset_ns - 5 * SECOND)
    assert moment("23:51", "--since").find(later, True, None) == STARTED + 65 * SECOND
