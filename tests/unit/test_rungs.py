"""What the declarations of tracer/probes/ promise to the rest."""

from __future__ import annotations

from tracer.cli import means
from tracer.kernel.account import MAKERS
from tracer.kernel.ladder import ATTACH
from tracer.probes import ACCEPT, ANSWER, HANDSHAKE, REQUEST, SYN_DROP, URING


def test_skipped_runs_are_counted_of_every_program_that_makes_records() -> None:
    programs = {
        program
        for subject in (ACCEPT, ANSWER, HANDSHAKE, REQUEST, SYN_DROP, URING)
        for rung in subject.rungs
        for program in rung.programs
    }
    assert programs <= MAKERS


def test_what_attach_takes_is_a_rung_of_something() -> None:
    assert ("auto", *ATTACH) == means.ATTACH
    hows = {rung.how for subject in (ACCEPT, HANDSHAKE, SYN_DROP) for rung in subject.rungs}
    assert set(ATTACH.values()) == hows
