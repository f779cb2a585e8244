"""`advise --stack`: a leak is told with the function that made what is leaked, and with no other.

The programs are tests/programs/leak.c, built with frame pointers and without, linked statically,
and with threads; what each function made is known, and `ss` counts what is left.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.leaking import Leaking, build_leak, leaking
from tests.programs.places import ADDRESS, PORT, server_in
from tests.schemas import checked
from tracer.kernel.core import CoreObject
from tracer.kernel.live import LiveSource
from tracer.kernel.settings import Settings
from tracer.limits import Limits
from tracer.session import Session
from tracer.views.advise import AdviseView
from tracer.views.look import Look
from tracer.views.output import Notices, Output
from tracer.wire.filters import Filters

pytestmark = pytest.mark.kernel

OLDER, LEAKED, CLOSED, CALLED = 5, 13, 7, 3
OLD_MS, STILL_MS = 10_100, 2_100
BUILDS = {
    "with frame pointers": (("-O0", "-fno-omit-frame-pointer"), ""),
    "without frame pointers": (("-O2", "-fomit-frame-pointer"), ""),
    "static": (("-O2", "-static"), ""),
    "stripped of its symbols": (("-O2", "-s"), ""),
    "with threads": (("-O2",), "threads"),
}
SEEN = [name for name in BUILDS if "stripped" not in name]
WAY = {"forget": "take_and_forget", "call": "call_and_forget"}


@dataclass
class Place:
    """Where each of the builds leaks, and a server that they connect to."""

    ns: Namespace
    client: Program
    server: Program
    programs: dict[str, tuple[Path, int, Leaking]]

    def leak(self, count: int, word: str = "forget") -> None:
        for _, port, program in self.programs.values():
            self.client.do("hold", address=ADDRESS, port=port, count=count)
            program.do(word, count)
            self.client.do("let_go")

    def close(self, count: int) -> None:
        for _, port, program in self.programs.values():
            self.client.do("hold", address=ADDRESS, port=port, count=count)
            program.tell("close", count)
            self.client.do("let_go")
            program.hear()

    def call(self, count: int) -> None:
        for _, _, program in self.programs.values():
            program.tell("call", count)
            for i in range(count):
                self.server.do("accept", name=f"s{i}", listener="l")
            program.hear()
            for i in range(count):
                self.server.do("close", name=f"s{i}")

    def wait_for(self, each: int, ms: int) -> None:
        """So many of each program in CLOSE_WAIT, and none has heard of its peer for so long."""
        count = each * len(self.programs)

        def are_old() -> bool:
            told = self.ns.run("ss", "-Htin", "state", "close-wait")
            ages = [int(age) for age in re.findall(r"lastack:(\d+)", told)]
            return len(ages) == count and min(ages) > ms

        wait_until(are_old, "them to be old", 30)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each has leaked some that are older than any tracer, for more than 10 s."""
    directory = tmp_path_factory.mktemp("built")
    with namespace() as ns, server_in(ns) as server, ExitStack() as stack:
        client = stack.enter_context(Program("tt-client", ns.enter))
        programs = {}
        for i, (name, (flags, more)) in enumerate(BUILDS.items()):
            path = build_leak(directory / f"leak{i}", *flags)
            port = PORT + 1 + i
            made = stack.enter_context(leaking(ns, path, ADDRESS, port, PORT, more=more))
            programs[name] = path, port, made
        found = Place(ns, client, server, programs)
        found.leak(OLDER)
        found.wait_for(OLDER, OLD_MS)
        yield found


@dataclass
class Told:
    """What one session found of all, and what a replay makes of it."""

    by_pid: dict[int, Record]
    again: list[Record]
    plain: list[Record]
    printed: str


@pytest.fixture(scope="module")
def told(place: Place) -> Told:
    """Meanwhile each leaks from two functions, and closes what it makes in a third."""
    with Tracer("advise", "--netns", place.ns.name, "--stack", "-d", "60", json=False) as first:
        kept = str(first.path / "kept.tcpt")
        with Tracer("advise", "--netns", place.ns.name, "--stack", "-d", "60", "-w", kept) as one:
            place.leak(LEAKED)
            place.close(CLOSED)
            place.call(CALLED)
            place.wait_for(OLDER + LEAKED + CALLED, STILL_MS)
            found = one.stop()
            again, plain = ((_replayed(kept, *more)) for more in (("--stack",), ()))
        first.stop()
        assert again == found
    return Told({record["pid"]: record for record in found}, again, plain, first.stdout)


def _replayed(path: str, *more: str) -> list[Record]:
    command = [*COMMAND, "advise", "-r", path, "-j", *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines())


def way_of(path: Path, *names: str) -> str:
    """These functions, the file named once."""
    first, *others = (rf"{name}\+0x[0-9a-f]+" for name in names)
    return " <- ".join((rf"{first} \({re.escape(str(path))}\)", *others))


@pytest.mark.parametrize("build", SEEN)
def test_the_function_that_made_what_is_leaked_is_named_with_its_callers_and_no_other(
    place: Place, told: Told, build: str
) -> None:
    path, _, program = place.programs[build]
    numbers = told.by_pid[program.pid]["evidence"]
    assert numbers["close_wait"] == OLDER + LEAKED + CALLED
    assert (numbers["made_known"], numbers["made_unknown"]) == (LEAKED + CALLED, OLDER)
    assert numbers["made_at_count"] == LEAKED
    assert re.match(way_of(path, "take_and_forget", "serve", "obey"), numbers["made_at"])
    text = numbers["text"]
    assert f"{LEAKED} of {LEAKED + CALLED} accepted at take_and_forget+0x" in text
    calls = way_of(path, "call_and_forget", "serve", "obey")
    assert re.search(rf"{CALLED} of {LEAKED + CALLED} connected at {calls}", text)
    assert "take_and_close" not in text
    assert f"where {OLDER} were made is not known: they are older than the tracer" in text


def test_of_a_stripped_program_the_places_in_its_file_are_told(place: Place, told: Told) -> None:
    path, _, program = place.programs["stripped of its symbols"]
    numbers = told.by_pid[program.pid]["evidence"]
    assert (numbers["made_known"], numbers["made_at_count"]) == (LEAKED + CALLED, LEAKED)
    assert re.match(rf"{re.escape(str(path))}\+0x[0-9a-f]+ <- ", numbers["made_at"])


def test_how_long_they_are_in_it_is_told_by_how_many(place: Place, told: Told) -> None:
    for record in told.by_pid.values():
        numbers = record["evidence"]
        assert numbers["age_below_10s"] == LEAKED + CALLED
        assert numbers["age_below_60s"] + numbers["age_below_600s"] == OLDER
        assert f"{LEAKED + CALLED} below 10 s" in numbers["text"]


def test_people_read_the_same_and_who_does_not_ask_is_told_nothing_of_it(told: Told) -> None:
    flat = " ".join(told.printed.split())
    assert flat.count("accepted at take_and_forget+0x") == len(SEEN)
    assert "made_at" not in told.plain[0]["evidence"]
    assert "take_and_forget" not in str(told.plain)
    assert len(told.plain) == len(told.again) == len(BUILDS)


def test_what_closes_all_that_it_makes_is_no_finding(tmp_path: Path) -> None:
    path = build_leak(tmp_path / "leak", "-O2")
    with (
        namespace() as ns,
        Program("tt-client", ns.enter) as client,
        leaking(ns, path, ADDRESS, PORT, PORT) as program,
        Tracer("advise", "--netns", ns.name, "--stack", "-d", "60") as tracer,
    ):
        client.do("hold", address=ADDRESS, port=PORT, count=CLOSED)
        program.tell("close", CLOSED)
        client.do("let_go")
        program.hear()
        assert tracer.stop() == []


def test_without_the_option_not_even_the_room_for_it_is_made() -> None:
    """So the code that uses it is not loaded either: the kernel would refuse it."""
    for wanted in (False, True):
        source = LiveSource(replace(Settings(), made=wanted))
        try:
            assert isinstance(source._object, CoreObject)
            for name in ("tt_made", "tt_new_made", "tt_user_stacks"):
                assert source._object.has_map(name) == wanted
            assert (source.made is not None) == wanted
        finally:
            source.close()


@pytest.mark.parametrize("full", ["tt_made", "tt_user_stacks"])
def test_what_there_is_no_room_for_is_counted_and_said(
    place: Place, full: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With one place for all; of who called first there is a word all the same."""
    load, limits = CoreObject.load, Limits(seconds=30)
    build = "without frame pointers"
    _, port, program = place.programs[build]

    def small(bpf: CoreObject) -> None:
        bpf.resize(full, 1)
        load(bpf)

    def act() -> None:
        for word, count in (("call", CALLED), ("forget", LEAKED)):
            if word == "call":
                program.tell("call", count)
                for i in range(count):
                    place.server.do("accept", name=f"s{i}", listener="l")
                program.hear()
                for i in range(count):
                    place.server.do("close", name=f"s{i}")
            else:
                place.client.do("hold", address=ADDRESS, port=port, count=count)
                program.do("forget", count)
                place.client.do("let_go")
        wait_until(lambda: youngest() > STILL_MS, "them to be old", 30)
        limits.stop = "duration"

    def youngest() -> int:
        text = place.ns.run("ss", "-Htin", "state", "close-wait")
        return min(map(int, re.findall(r"lastack:(\d+)", text)))

    monkeypatch.setattr(CoreObject, "load", small)
    out = tmp_path / "out"
    output = Output(out)
    view = AdviseView(output, Notices(False), Look(form="json", stacks=True))
    filters = Filters(netns=frozenset({place.ns.inode}), lports=((port, port),))
    settings = Settings(filters=filters, made=True, connections=True, snapshots=True)
    Session(settings, view, ready=act, limits=limits).run()
    output.close()
    (one,) = checked(out.read_text().splitlines())
    text, numbers = one["evidence"]["text"], one["evidence"]
    if full == "tt_made":
        assert "older than the tracer, or there was no room for it" in text
        assert numbers["made_known"] <= 1
    else:
        assert f"{LEAKED} of {LEAKED} accepted at take_and_forget+0x" in text
        assert "there was no room to keep all outer calls" in text
