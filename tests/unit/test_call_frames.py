"""Back from a place in a program through its callers, by what its file says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.programs.leaking import build_leak
from tracer.attribution.call_frames import MOST_FRAMES, CallFrames, Seen, Step, walk

WORD = 8
SP, BP = 0x7FFE0000, 0x7FFE0040
LEAF, BY_BP, LAST = (
    Step(True, WORD, None),
    Step(False, 2 * WORD, -2 * WORD),
    Step(True, 0, None, True),
)
ACCEPT, TAKE, SERVE, MAIN, START = 0x100, 0x200, 0x300, 0x400, 0x500


def going(**steps: Step) -> dict[int, Step]:
    places = {"accept": ACCEPT, "take": TAKE, "serve": SERVE, "main": MAIN, "start": START}
    return {places[name]: step for name, step in steps.items()}


def walked(seen: Seen, steps: dict[int, Step]) -> tuple[list[int], bool]:
    return walk(seen, lambda address, ahead: steps.get(address))


def stack(*words: int, chain: tuple[int, ...] = (), bp: int = BP) -> Seen:
    return Seen(ACCEPT, SP, bp, words, chain)


def test_who_called_a_leaf_is_on_top_of_the_stack_and_frame_pointers_lead_on() -> None:
    """The kernel's own walk passes over who called it: `take`."""
    seen = stack(TAKE, 1, 2, chain=(ACCEPT, SERVE, MAIN, START))
    steps = going(accept=LEAF, take=BY_BP, serve=BY_BP, main=BY_BP, start=LAST)
    assert walked(seen, steps) == ([ACCEPT, TAKE, SERVE, MAIN, START], True)


def test_without_frame_pointers_each_frame_says_how_far_it_is_to_the_next() -> None:
    """What lies in the register leads to nowhere; the kernel's walk by it is not believed."""
    steps = going(
        accept=LEAF, take=Step(True, 3 * WORD, None), serve=Step(True, 2 * WORD, None), main=LAST
    )
    seen = stack(TAKE, 7, 7, SERVE, 7, MAIN, chain=(ACCEPT, 0xBAD, 0xBAD2), bp=0xDEAD)
    assert walked(seen, steps) == ([ACCEPT, TAKE, SERVE, MAIN], True)


def test_a_frame_pointer_that_a_function_kept_is_used_by_who_called_it() -> None:
    kept = SP + 4 * WORD
    steps = going(accept=LEAF, take=Step(True, 2 * WORD, -2 * WORD), serve=BY_BP, main=LAST)
    # take: its caller's frame pointer, the way back; serve's frame lies there
    seen = stack(TAKE, kept, SERVE, 7, 0, MAIN, chain=(ACCEPT, 0xBAD), bp=0xDEAD)
    assert walked(seen, steps) == ([ACCEPT, TAKE, SERVE, MAIN], True)


def test_where_what_was_kept_of_the_stack_ends_the_way_is_not_whole() -> None:
    steps = going(accept=LEAF, take=Step(True, 100 * WORD, None), serve=LAST)
    assert walked(stack(TAKE, chain=(ACCEPT, SERVE)), steps) == ([ACCEPT, TAKE], False)


def test_of_code_that_says_nothing_frame_pointers_are_followed_with_a_gap_behind_the_first() -> (
    None
):
    seen = stack(TAKE, chain=(ACCEPT, SERVE, MAIN))
    assert walked(seen, {}) == ([ACCEPT, 0, SERVE, MAIN], False)
    assert walked(seen, going(accept=LEAF)) == ([ACCEPT, TAKE, SERVE, MAIN], False)
    assert walked(Seen(ACCEPT, 0, 0, (), (ACCEPT, SERVE)), {}) == ([ACCEPT, SERVE], False)


def test_a_stack_that_was_made_to_go_round_comes_to_an_end() -> None:
    steps = going(accept=Step(True, 0, None))
    found, is_whole = walked(Seen(ACCEPT, SP, BP, (ACCEPT,), ()), steps)
    assert not is_whole
    assert len(found) <= MOST_FRAMES
    round_and_round = going(accept=Step(False, 0, None))
    seen = Seen(ACCEPT, SP, SP + WORD, (ACCEPT,), ())
    assert len(walked(seen, round_and_round)[0]) == MOST_FRAMES


# --- files ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["-O2", "-static"])
def program(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Statically linked it has no index."""
    return build_leak(tmp_path_factory.mktemp("built") / "leak", request.param)


def read(path: Path) -> CallFrames:
    fd = os.open(path, os.O_RDONLY)
    try:
        return CallFrames(fd)
    finally:
        os.close(fd)


def test_most_places_of_a_program_say_how_their_frame_lies(program: Path) -> None:
    frames = read(program)
    (begin, end, _), *_ = frames._spans
    steps = [frames.find(offset) for offset in range(begin, end)]
    assert sum(step is not None for step in steps) > len(steps) / 2
    assert any(step is not None and step.is_last for step in steps)  # _start: nobody called it
    assert frames.find(end) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 15), st.binary(min_size=1, max_size=8))))
def test_a_damaged_file_is_an_error_or_says_something_and_no_more(
    program: Path, tmp_path: Path, changes: list[tuple[int, bytes]]
) -> None:
    """Who asks takes any error for "not known"."""
    damaged = bytearray(program.read_bytes())
    for at, new in changes:
        damaged[at % len(damaged) : at % len(damaged) + len(new)] = new
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    try:
        frames = read(path)
    except Exception:
        return
    for offset in range(0, len(damaged), 397):
        try:
            found = frames.find(offset)
        except Exception:
            continue
        assert found is None or isinstance(found, Step)
