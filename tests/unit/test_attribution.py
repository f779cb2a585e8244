"""Processes and control groups, from what was told of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tracer.attribution import cgroups
from tracer.attribution.cgroups import container_of, find_mount, walk
from tracer.attribution.processes import ProcessTable
from tracer.wire.layout import Layout

LONG = "7f3a1c9be0d27f3a1c9be0d27f3a1c9be0d27f3a1c9be0d27f3a1c9be0d21234"
POD = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


@pytest.fixture
def table(wire: Layout) -> ProcessTable:
    found = ProcessTable(wire.enums["task_event"]["RENAMED"], wire.enums["task_event"]["EXITED"])
    rows = np.zeros(3, wire.dtypes["task_row"])
    rows["pid"], rows["start"] = [10, 11, 12], [1, 2, 3]
    rows["local_pid"], rows["local_ppid"] = [10, 11, 12], [1, 10, 11]
    rows["comm"] = [b"master", b"worker", b"helper"]
    found.add_rows(rows)
    return found


def _event(wire: Layout, what: str, **values: object) -> np.void:
    event = np.zeros(1, wire.dtypes["task"])
    event["event"] = wire.enums["task_event"][what]
    for name, value in values.items():
        event[name] = value
    made: np.void = event[0]
    return made


def test_descendants_are_found_at_any_depth(table: ProcessTable) -> None:
    assert table.descendants({10}, follow=True) == {(10, 1), (11, 2), (12, 3)}
    assert table.descendants({10}, follow=False) == {(10, 1)}


def test_a_later_process_with_the_same_pid_is_another(wire: Layout, table: ProcessTable) -> None:
    table.add_event(_event(wire, "SEEN", pid=11, start=99, local_pid=11, comm=b"other"))
    old, new = table.find(11, 2), table.find(11, 99)
    assert old is not None
    assert new is not None
    assert (old.comm, new.comm) == ("worker", "other")


def test_a_new_name_and_an_end_are_kept(wire: Layout, table: ProcessTable) -> None:
    table.add_event(_event(wire, "RENAMED", pid=11, start=2, comm=b"busy"))
    table.add_event(_event(wire, "EXITED", pid=11, start=2, mono_ns=77))
    process = table.find(11, 2)
    assert process is not None
    assert (process.comm, process.exited_ns) == ("busy", 77)


def test_a_pid_outside_the_tracers_namespace_is_not_invented(
    wire: Layout, table: ProcessTable
) -> None:
    table.add_event(_event(wire, "SEEN", pid=50, start=5, local_pid=0, comm=b"hidden"))
    process = table.find(50, 5)
    assert process is not None
    assert process.pid is None


@pytest.mark.parametrize(
    ("path", "container"),
    [
        (f"/system.slice/docker-{LONG}.scope", LONG[:12]),
        (f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{LONG}.scope", LONG[:12]),
        (f"/docker/{LONG}", LONG[:12]),
        (f"/kubepods/burstable/pod1/{LONG}", LONG[:12]),
        ("/system.slice/nginx.service", None),
        ("/", None),
        (None, None),
    ],
)
def test_container_ids_are_read_from_control_group_paths(
    path: str | None, container: str | None
) -> None:
    assert container_of(path) == container


POD_UID = POD.replace("-", "_")
OTHER = LONG[::-1]
KUBEPODS = f"/kubepods.slice/kubepods-pod{POD_UID}.slice"
PATHS = [
    (f"/system.slice/docker-{LONG}.scope", "docker:7f3a1c9be0d2"),
    (f"/docker/{LONG}", "docker:7f3a1c9be0d2"),
    (f"/docker/{LONG}/system.slice/sshd.service", "docker:7f3a1c9be0d2"),
    (
        f"{KUBEPODS}/cri-containerd-{LONG}.scope",
        "cri:7f3a1c9be0d2",
    ),
    (f"{KUBEPODS}/crio-{LONG}.scope", "cri:7f3a1c9be0d2"),
    (
        f"{KUBEPODS}/crio-{LONG}.scope/container",
        "cri:7f3a1c9be0d2",
    ),
    (f"/kubepods/burstable/pod{POD}/{LONG}", "cri:7f3a1c9be0d2"),
    (f"/kubepods/besteffort/pod{POD}/{LONG}/init", "cri:7f3a1c9be0d2"),
    (
        f"/system.slice/containerd.service/kubepods-pod{POD_UID}.slice:cri-containerd:{LONG}",
        "cri:7f3a1c9be0d2",
    ),
    (f"/k8s.io/{LONG}", "cri:7f3a1c9be0d2"),
    (f"/machine.slice/libpod-{LONG}.scope/container", "podman:7f3a1c9be0d2"),
    (f"/user.slice/user@1000.service/user.slice/libpod-{LONG}.scope", "podman:7f3a1c9be0d2"),
    (f"/libpod_parent/libpod-{LONG}", "podman:7f3a1c9be0d2"),
    (f"/system.slice/nerdctl-{LONG}.scope", "containerd:7f3a1c9be0d2"),
    (f"/default/{LONG}", "containerd:7f3a1c9be0d2"),
    (f"/ecs/1a2b/{LONG}", "ecs:7f3a1c9be0d2"),
    (f"/ecs/{LONG[:32]}/{LONG[:32]}-0123456789", "ecs:7f3a1c9be0d2"),
    # one container in another: the inner one
    (
        f"/docker/{LONG}/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{OTHER}.scope",
        f"cri:{OTHER[:12]}",
    ),
    ("/lxc.payload.web-1", "lxc:web-1"),
    ("/lxc/web/system.slice/nginx.service", "lxc:web"),
    ("/lxc/web", "lxc:web"),
    ("/machine.slice/machine-debian\\x2dsid.scope", "machine:debian-sid"),
    ("/machine.slice/systemd-nspawn@deb.service", "machine:deb"),
    # units of systemd
    ("/system.slice/nginx.service", "nginx.service"),
    ("/system.slice/system-pg.slice/pg@15-main.service", "pg@15-main.service"),
    ("/user.slice/user-1000.slice/session-41.scope", "session-41.scope"),
    (
        "/user.slice/user-1000.slice/user@1000.service/app.slice/app-firefox\\x2desr-7.scope",
        "app-firefox-esr-7.scope",
    ),
    ("/init.scope", "init.scope"),
    # no name of anything
    ("/system.slice", None),
    ("/", None),
    ("", None),
    (None, None),
    (f"/kubepods.slice/crio-conmon-{LONG}.scope", f"crio-conmon-{LONG}.scope"),
]


@pytest.mark.parametrize(("path", "called"), PATHS)
def test_control_groups_are_called_as_people_call_them(
    path: str | None, called: str | None
) -> None:
    if path and called is None and path.endswith((".service", ".scope")):
        called = path.rpartition("/")[2]
    assert cgroups.unit_of(path) == called


def test_the_mount_of_cgroup_v2_is_found_beside_v1(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text(
        "30 24 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "31 24 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    )
    assert find_mount(tmp_path) == Path("/sys/fs/cgroup/unified")


def test_paths_are_found_by_inode(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = walk(tmp_path)
    assert found[below.stat().st_ino] == "/a/b"
    assert found[tmp_path.stat().st_ino] == "/"


def _row(wire: Layout, **values: object) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    row = np.zeros(1, wire.dtypes["task_row"])
    for name, value in values.items():
        row[name] = value
    return row


def test_a_pid_used_again_is_that_of_another_process(wire: Layout, table: ProcessTable) -> None:
    table.add_event(_event(wire, "EXITED", pid=11, start=2, mono_ns=5, comm=b"worker"))
    table.add_event(
        _event(wire, "SEEN", pid=11, start=9, local_pid=11, local_ppid=1, comm=b"later")
    )
    table.add_event(
        _event(wire, "SEEN", pid=20, start=9, local_pid=20, local_ppid=11, comm=b"child")
    )
    first, later = table.find(11, 2), table.find(11, 9)
    assert first is not None
    assert later is not None
    assert (first.comm, later.comm) == ("worker", "later")
    assert (table.is_reused(11, 2), table.is_reused(11, 9)) == (True, False)
    # --pid 11 is the one there was first, with its own children and not the later one's
    assert table.descendants({11}, follow=True) == {(11, 2), (12, 3)}
    assert table.descendants({10}, follow=True) == {(10, 1), (11, 2), (12, 3)}


def test_a_name_from_a_later_walk_counts_until_events_tell_of_the_process(
    wire: Layout, table: ProcessTable
) -> None:
    def name() -> str:
        found = table.find(11, 2)
        assert found is not None
        return found.comm

    table.add_rows(_row(wire, pid=11, start=2, local_pid=11, comm=b"execed"))
    assert name() == "execed"
    table.add_rows(_row(wire, pid=11, start=2, local_pid=11, comm=b"holder", told=1))
    assert name() == "holder"
    table.add_rows(_row(wire, pid=11, start=2, local_pid=11, comm=b"newer", told=1))
    assert name() == "holder"
    table.add_event(_event(wire, "RENAMED", pid=11, start=2, comm=b"newer"))
    assert name() == "newer"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/", "/a/b"),
        ("/a", "/a/b"),
        ("/a/", "/a"),
        ("nginx.service", "/system.slice/nginx.service/workers"),
        ("abcd", f"/system.slice/docker-{'abcd' * 16}.scope"),
        ("abcdabcdabcd", f"/kubepods/besteffort/pod{POD}/{'abcd' * 16}/below"),
        (POD, f"/kubepods/besteffort/pod{POD}/{'abcd' * 16}"),
        (POD, f"/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/x.scope"),
    ],
)
def test_a_control_group_is_known_by_what_it_is_called_by(asked: str, path: str) -> None:
    assert cgroups.is_below(path, asked)


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/a", "/ab"),
        ("/a", "/b/a"),
        ("nginx.service", "/system.slice/nginx.service.d"),
        ("nginx", "/system.slice/nginx.service"),
        ("abc", f"/system.slice/docker-{'abcd' * 16}.scope"),
        ("bcda", f"/system.slice/docker-{'abcd' * 16}.scope"),
        (POD, f"/kubepods/besteffort/pod{POD.replace('0', '1')}"),
    ],
)
def test_a_control_group_is_not_known_by_part_of_a_name(asked: str, path: str) -> None:
    assert not cgroups.is_below(path, asked)
