"""RSTs, silence and gaps in words: what is said, and that no name can forge it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tracer.attribution.processes import ProcessTable
from tracer.flows.gaps import Gap
from tracer.flows.resets import Silence
from tracer.views import gap_words, reset_silence, reset_words
from tracer.views.columns import Facts, document, rows
from tracer.views.reset_columns import LOCAL
from tracer.views.schema_reset import BYS
from tracer.views.text import Clock
from tracer.wire.layout import Layout, Records
from tracer.words.resets import MEANINGS

SECOND = 1_000_000_000
CLOSED, OPENED = 4_882_000_000, 8_064_000_000


@pytest.fixture
def facts(wire: Layout) -> Facts:
    events = wire.enums["task_event"]
    processes = ProcessTable(events["RENAMED"], events["EXITED"])
    tasks = np.zeros(2, wire.dtypes["task_row"])
    tasks["pid"], tasks["local_pid"], tasks["start"] = (2201, 4620), (2201, 4620), (7, 8)
    tasks["comm"] = b"gunicorn", b"evil\n\x1b[2J"
    processes.add_rows(tasks)
    made = Facts(wire, processes, Clock(0, utc=True))
    made.reset_reasons = {1: "NO_SOCKET"}
    return made


def one(wire: Layout, **values: object) -> Records:
    record = np.zeros(1, wire.dtypes["reset"])
    for name, value in values.items():
        record[name] = value
    return record


def test_a_gap_is_one_sentence_with_its_times_and_whom_they_turned_away(facts: Facts) -> None:
    gap = Gap(7, 8080, CLOSED, (2201, 7), OPENED, (2201, 7), refused=1204, reset_in_queue=37)
    assert gap_words.sentence(gap, facts, 0, with_netns=False) == (
        "no listener on :8080 for 3.18s (closed by gunicorn[2201] 00:00:04.882, opened by"
        " gunicorn[2201] 00:00:08.064): 1204 SYNs refused; 37 finished connections reset in the"
        " closing queue"
    )


def test_a_gap_that_goes_on_says_so(facts: Facts) -> None:
    gap = Gap(7, 8080, CLOSED, (2201, 7), refused=1)
    told = gap_words.sentence(gap, facts, CLOSED + 2 * SECOND, with_netns=True)
    assert told == (
        "no listener on :8080 of netns 7 for 2s, and none yet (closed by gunicorn[2201]"
        " 00:00:04.882): 1 SYN refused"
    )
    assert gap_words.document(gap, facts, "", CLOSED + 2 * SECOND)["gap_us"] == 2_000_000


def test_a_hostile_name_stays_on_its_line(facts: Facts) -> None:
    gap = Gap(7, 8080, CLOSED, (4620, 8), OPENED, (1, 1), refused=1)
    told = gap_words.sentence(gap, facts, 0, with_netns=False)
    assert told.isprintable()
    assert "opened by (unknown)" in told


def test_silence_is_told_in_bars_and_its_spike_by_name() -> None:
    silence = Silence()
    silence.add(np.array([350 * SECOND + 7] * 1893 + [SECOND // 2] * 18, np.uint64))
    *bars, spike = reset_silence.lines("received", silence)
    assert bars[0] == "silent before a RST was received:"
    assert re.fullmatch(r" +<= 1s \|# +18 +0\.9%", bars[1])
    assert re.fullmatch(r" +5m - 15m \|#{40} +1893 +99\.1%", bars[-1])
    assert spike.startswith("350 s: 1893 of 1911: the idle timeout")


def test_what_was_short_has_no_bars() -> None:
    silence = Silence()
    silence.add(np.array([3_000_000] * 97, np.uint64))
    assert reset_silence.lines("received", silence) == []


def test_every_cause_has_a_meaning_and_a_place_in_the_schema(wire: Layout) -> None:
    causes = {name.lower() for name in wire.enums["reset_by"]} - {"unknown"}
    assert causes == set(MEANINGS) == set(BYS)
    assert causes > LOCAL


def test_a_rst_without_a_connection_has_no_bytes_nor_age(wire: Layout, facts: Facts) -> None:
    by = wire.enums["reset_by"]["NO_SOCKET"]
    (row,) = rows(one(wire, by=by, reason=1, answers=1, kind=wire.enums["kind"]["RESET"]), "reset")
    found = document("reset", row, facts)
    assert (found["reason"], found["answers"], found["state"]) == ("NO_SOCKET", "syn", None)
    for name in ("age_us", "age_at_least_us", "idle_us", "tx_bytes", "rx_bytes", "errno"):
        assert found[name] is None
    assert reset_words.reset(row, facts) == (
        "sent: no listener, and no connection, there  to a SYN  (NO_SOCKET)"
    )


def test_a_reason_that_this_version_of_the_recording_does_not_name_is_a_number(
    wire: Layout, facts: Facts
) -> None:
    (row,) = rows(one(wire, reason=99), "reset")
    assert reset_words.reset(row, facts).endswith("(99)")
