"""What --comm, --pid and --cgroup ask for and find no room to mark is counted as lost, and said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.harness import Namespace, namespace
from tests.programs.driver import Program
from tests.programs.groups import control_group
from tests.programs.places import ADDRESS, PORT, server_in
from tracer.attribution import cgroups
from tracer.errors import TracerError
from tracer.flows.tally import Tally
from tracer.kernel.core import CoreObject
from tracer.kernel.live import LiveSource
from tracer.kernel.settings import Settings
from tracer.views.closing import explain_lost
from tracer.wire.filters import Filters

pytestmark = pytest.mark.kernel
MANY, ROOM = 17, 5


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def have_room(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a map of marks be made with ROOM entries."""
    load = CoreObject.load

    def small(bpf: CoreObject) -> None:
        bpf.resize(name, ROOM)
        load(bpf)

    monkeypatch.setattr(CoreObject, "load", small)


def counted(source: LiveSource) -> Tally:
    tally, stats = Tally(), source.stats()
    assert stats is not None
    tally.read(stats[0], source.layout)
    return tally


def matched(source: LiveSource) -> int:
    """Attempts to connect that were told of."""
    stats = source._account._read_stats()
    return int(stats["matched"][:, source.layout.enums["kind"]["HANDSHAKE"]].sum())


def test_each_process_that_finds_no_room_for_its_name_is_counted(
    ns: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_room(monkeypatch, "tt_named")
    with server_in(ns):
        source = LiveSource(Settings(filters=Filters(comms=("tt-full",))))
        try:
            with ExitStack() as stack:
                for _ in range(MANY):
                    one = stack.enter_context(Program("tt-full", ns.enter))
                    one.do("connect", name="c", address=ADDRESS, port=PORT)
                tally, told = counted(source), matched(source)
        finally:
            source.close()
    assert MANY - ROOM <= tally.unmarked < MANY
    assert told + tally.unmarked == MANY
    assert tally.lost == tally.lost_map["task"] == tally.unmarked
    (line,) = explain_lost(tally)
    assert line.startswith(f"lost: {tally.unmarked} processes or control groups asked for")


def test_of_older_processes_without_room_it_is_said_that_some_are_missing(
    ns: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_room(monkeypatch, "tt_named")
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(Program("tt-full", ns.enter))
        source = LiveSource(Settings(filters=Filters(comms=("tt-full",))))
        source.close()
    assert any("more processes are called as --comm asks" in text for text in source.notices)


def test_children_of_a_target_that_find_no_room_are_counted(
    ns: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_room(monkeypatch, "tt_targets")
    with Program("tt-parent", ns.enter) as parent:
        source = LiveSource(Settings(filters=Filters(pids=(parent.pid,))))
        try:
            for _ in range(MANY):
                parent.fork()
            tally = counted(source)
        finally:
            source.close()
    assert tally.unmarked == tally.lost == MANY - (ROOM - 1)


def test_control_groups_made_later_that_find_no_room_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_room(monkeypatch, "tt_cgroups")
    with control_group() as group:
        filters = Filters(cgroups=(f"/{group.name}",))
        mount = cgroups.find_mount()
        source = LiveSource(Settings(filters=filters), lambda: cgroups.find_asked(filters, mount))
        try:
            for number in range(MANY):
                (group / f"below{number}").mkdir()
            tally = counted(source)
        finally:
            source.close()
    assert tally.unmarked == tally.lost == MANY - (ROOM - 1)


def test_more_control_groups_than_there_is_room_for_are_an_error_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have_room(monkeypatch, "tt_cgroups")
    with control_group() as group:
        for number in range(MANY):
            (group / f"below{number}").mkdir()
        filters = Filters(cgroups=(f"/{group.name}",))
        mount = cgroups.find_mount()
        with pytest.raises(TracerError, match="more control groups than there is room for"):
            LiveSource(Settings(filters=filters), lambda: cgroups.find_asked(filters, mount))
