"""--cgroup: a path, unit, container or pod, and all under it, whenever it is made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.kernel.test_filter_matrix import read
from tests.programs.driver import Program
from tests.programs.groups import control_group, enter, remove

pytestmark = pytest.mark.kernel

ADDRESS, PORT = "127.0.0.1", 8001
LATE, OTHERS = 211, 97
POD = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
CONTAINER = "5eed" + "0123456789abcdef" * 3 + "0123456789ab"


@pytest.fixture
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


@pytest.fixture
def group() -> Iterator[Path]:
    with control_group() as made:
        yield made


@pytest.fixture
def server(ns: Namespace) -> Iterator[Program]:
    with Program("tt-server", ns.enter) as made:
        made.do("bind", name="l", address=ADDRESS, port=PORT)
        made.do("listen", name="l", backlog=1024)
        yield made


def call(ns: Namespace, group: Path) -> None:
    """A new process that enters a control group and connects at once."""
    connect = f"exec 3<>/dev/tcp/{ADDRESS}/{PORT}"
    script = f"echo $$ > {group}/cgroup.procs && exec {' '.join(ns.enter)} bash -c '{connect}'"
    subprocess.run(["bash", "-c", script], check=True)


def clients(records: list[Record]) -> list[str]:
    """Paths of those who opened a connection, one for each."""
    return [r["cgroup"] for r in records if r["kind"] == "handshake" and r["role"] == "active"]


def test_of_groups_made_later_no_first_connection_is_missed(
    ns: Namespace, group: Path, server: Program, tmp_path: Path
) -> None:
    path = str(tmp_path / "all.rec")
    outside = group / "outside"
    inside = group / "inside"
    for made in (inside, outside):
        made.mkdir()
    given = ["events", "--kind", "handshake", "--netns", ns.name]
    before = ns.counters()["TcpActiveOpens"]
    with (
        Tracer("record", path, "--netns", ns.name, json=False),
        Tracer(*given, "--cgroup", str(inside)) as tracer,
    ):
        for i in range(LATE):
            if i % 20 == 0:
                late = inside / f"late{i}" / "below"
                late.mkdir(parents=True)
            call(ns, late)
            if i < OTHERS:
                call(ns, outside)
    assert ns.counters()["TcpActiveOpens"] - before == LATE + OTHERS
    assert len(clients(tracer.records)) == len(tracer.records) == LATE
    assert {r["cgroup"].split("/")[2] for r in tracer.records} == {"inside"}
    replayed = read(*given[:3], "-r", path, "--cgroup", f"/{group.name}/inside")
    assert clients(replayed) == clients(tracer.records)


def test_a_group_that_is_taken_away_and_made_again_is_matched_again(
    ns: Namespace, group: Path, server: Program
) -> None:
    unit = group / "tt-test.service"
    unit.mkdir()
    with Tracer("events", "--netns", ns.name, "--cgroup", "tt-test.service") as tracer:
        call(ns, unit)
        remove(unit)
        unit.mkdir()
        for _ in range(3):
            call(ns, unit)
        call(ns, group)
    opened = [r for r in tracer.records if r["kind"] == "handshake"]
    assert len(opened) == 4
    assert len({r["cgroup_id"] for r in opened}) == 2


@pytest.mark.parametrize(
    "asked", [POD, CONTAINER[:12], CONTAINER, f"cri-containerd-{CONTAINER}.scope"]
)
def test_a_pod_and_a_container_are_known_by_their_ids(
    ns: Namespace, group: Path, server: Program, tmp_path: Path, asked: str
) -> None:
    path = str(tmp_path / "all.rec")
    slice_ = group / f"kubepods-burstable-pod{POD.replace('-', '_')}.slice"
    scope = slice_ / f"cri-containerd-{CONTAINER}.scope"
    scope.mkdir(parents=True)
    with (
        Tracer("record", path, "--netns", ns.name, json=False),
        Tracer("events", "--netns", ns.name, "--cgroup", asked) as tracer,
    ):
        call(ns, scope)
        call(ns, group)
    for records in (tracer.records, read("events", "-r", path, "--cgroup", asked)):
        assert len(clients(records)) == 1
        assert {r["container"] for r in records} == {CONTAINER[:12]}


def test_a_listener_is_matched_by_the_group_of_any_holder(
    ns: Namespace, group: Path, server: Program
) -> None:
    worker = server.fork()
    enter(group, worker.pid)
    with Tracer("listeners", "--netns", ns.name, "--cgroup", group.name) as tracer:
        call(ns, group.parent)
    (told,) = [r for r in tracer.records if r["kind"] == "listener"]
    assert (told["listener_pid"], told["listener_port"]) == (server.pid, PORT)


def test_what_is_in_a_group_can_be_left_out(ns: Namespace, group: Path, server: Program) -> None:
    inside = group / "inside"
    inside.mkdir()
    with Tracer("events", "--netns", ns.name, "--exclude", f"cgroup={inside}") as tracer:
        call(ns, inside)
        call(ns, group)
    assert clients(tracer.records) == [f"/{group.name}"]


def test_a_group_that_is_not_there_ends_with_1_a_cause_and_a_hint() -> None:
    done = subprocess.run(
        [*COMMAND, "events", "--cgroup", "tt-none.service"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert "--cgroup tt-none.service: no control group" in first
    assert "systemd-cgls" in second


def test_in_a_namespace_of_control_groups_one_that_is_made_again_is_matched_again(
    ns: Namespace, group: Path, server: Program, tmp_path: Path
) -> None:
    unit, other = group / "slice" / "tt-test.service", group / "slice" / "tt-other.service"
    for made in (unit, other):
        made.mkdir(parents=True)
    mount = f'umount {group.parent}; mount -t cgroup2 none {group.parent}; exec "$@"'
    enter = f'echo $$ > {group}/cgroup.procs; exec unshare --cgroup --mount sh -ec "$0" sh "$@"'
    ready, out = tmp_path / "ready", tmp_path / "out"
    given = ["events", "-j", "--kind", "handshake", "--netns", str(ns.inode)]
    given += ["--cgroup", "tt-test.service", "--ready-file", str(ready), "-o", str(out)]
    process = subprocess.Popen(["bash", "-ec", enter, mount, *COMMAND, *given], cwd=ROOT)
    try:
        wait_until(ready.exists, "it to be attached")
        call(ns, unit)
        remove(unit)
        unit.mkdir()
        call(ns, unit)
        call(ns, other)
        for made in (unit, other, unit.parent):  # and now what it lies in as well
            remove(made)
        for made in (unit, other):
            made.mkdir(parents=True)
        call(ns, unit)
        call(ns, other)
    finally:
        process.terminate()
        assert process.wait(20) == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [r["cgroup"] for r in records] == ["/slice/tt-test.service"] * 3
    assert len({r["cgroup_id"] for r in records}) == 3
