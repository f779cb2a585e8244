"""Control groups: path by id, and the container a path belongs to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tracer.errors import TracerError
from tracer.wire.filters import Filters

_ID = r"(?P<id>[0-9a-f]{64})"
# what makes containers, and the control groups it makes for them: by systemd a scope, else a
# folder; looked for at each place of a path, the innermost first
_BY_SYSTEMD = {
    "docker": "docker",
    "cri-containerd": "cri",
    "crio": "cri",
    "libpod": "podman",
    "containerd": "containerd",
    "nerdctl": "containerd",
}
_CONTAINERS = (
    *(
        (made, re.compile(rf"(?:^|/){prefix}-{_ID}\.scope$"))
        for prefix, made in _BY_SYSTEMD.items()
    ),
    # a runtime without systemd's names, though told to use them: SLICE:PREFIX:ID
    *((made, re.compile(rf":{prefix}:{_ID}$")) for prefix, made in _BY_SYSTEMD.items()),
    ("docker", re.compile(rf"(?:^|/)docker/{_ID}$")),
    ("cri", re.compile(rf"(?:^|/)kubepods[^/]*/(?:[^/]+/)*{_ID}$")),
    ("cri", re.compile(rf"(?:^|/)k8s\.io/{_ID}$")),
    ("podman", re.compile(rf"(?:^|/)libpod_parent/(?:libpod-)?{_ID}$")),
    ("ecs", re.compile(r"(?:^|/)ecs/[^/]+/(?P<id>[0-9a-f]{64}|[0-9a-f]{32}-\d+)$")),
    ("containerd", re.compile(rf"(?:^|/)default/{_ID}$")),
    ("container", re.compile(rf"(?:^|/)(?:lxc|machine\.slice)/{_ID}$")),
)
# containers with names of their own
_NAMED = (
    ("lxc", re.compile(r"(?:^|/)lxc\.payload\.(?P<name>[^/]+)$")),
    ("lxc", re.compile(r"(?:^|/)lxc/(?P<name>[^/]+)$")),
    (
        "machine",
        re.compile(r"(?:^|/)(?:machine-|systemd-nspawn@)(?P<name>[^/]+)\.(?:scope|service)$"),
    ),
)
_UNIT = re.compile(r"^.+\.(?:service|scope|socket|mount|swap)$")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")
_POD = re.compile(r"pod(?P<uid>[0-9a-f]{8}([-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})\b")
SHORTEST_ID = 4  # of a container, as its first digits


def find_mount(proc: Path = Path("/proc")) -> Path | None:
    """Where the cgroup v2 hierarchy is mounted; None where it is not."""
    with (proc / "self/mountinfo").open() as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if right.startswith("cgroup2 "):
                return Path(left.split()[4])
    return None


def walk(mount: Path) -> dict[int, str]:
    """Path of every control group, as /proc/PID/cgroup writes it, by id (its inode)."""
    found = {}
    for directory, below, _ in os.walk(mount):
        try:
            inode = os.stat(directory).st_ino
        except FileNotFoundError:
            below.clear()
            continue
        path = os.path.relpath(directory, mount)
        found[inode] = "/" if path == "." else f"/{path}"
    return found


def path_of(number: int, known: dict[int, str], made: dict[int, tuple[int, str]]) -> str | None:
    """Path of one that may be gone already, by those that are known.

    `made` says of others in which each lay, and its name there.
    """
    names: list[str] = []
    while number not in known:
        if number not in made:
            return None
        number, name = made[number]
        names.append(name)
    return "/".join([known[number].rstrip("/"), *reversed(names)])


def _container(path: str) -> tuple[str, str] | None:
    """Who made the innermost container that a path lies in, and its whole id."""
    for place in _upwards(path):
        for made, pattern in _CONTAINERS:
            found = pattern.search(place)
            if found:
                return made, found["id"]
    return None


def _upwards(path: str) -> Iterator[str]:
    """A path and those above it, the innermost first."""
    while path not in ("", "/"):
        yield path
        path = path.rpartition("/")[0]


def container_of(path: str | None, short: bool = True) -> str | None:
    """Id of the container that a cgroup path names, by 12 digits or all; None for all else."""
    found = _container(path or "")
    if found is None:
        return None
    return found[1][:12] if short else found[1]


def unit_of(path: str | None) -> str | None:
    """What people call a control group: `cri:7f3a1c9be0d2`, `lxc:web`, `nginx.service`; else None.

    The innermost container, else the innermost unit of systemd.
    """
    found = _container(path or "")
    if found is not None:
        return f"{found[0]}:{found[1][:12]}"
    for place in _upwards(path or ""):
        for made, pattern in _NAMED:
            named = pattern.search(place)
            if named:
                return f"{made}:{_unescape(named['name'])}"
    names = (place.rpartition("/")[2] for place in _upwards(path or ""))
    unit = next((name for name in names if _UNIT.match(name)), None)
    return _unescape(unit) if unit else None


def _unescape(name: str) -> str:
    """A name as systemd-escape(1) was given it."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def is_called(path: str, asked: str) -> bool:
    """Whether a control group is what --cgroup names: a path, a unit, a container or a pod."""
    if "/" in asked:
        return path == (asked.rstrip("/") or "/")
    name = path.rpartition("/")[2]
    if name == asked:
        return True
    container = container_of(path, short=False)
    if container and len(asked) >= SHORTEST_ID and container.startswith(asked):
        return name.find(container) >= 0
    pod = _POD.search(name)
    return bool(pod and pod["uid"].replace("_", "-") == asked.lower())


def is_below(path: str, asked: str) -> bool:
    """Whether it is so called, or any above it."""
    while not is_called(path, asked):
        if path == "/":
            return False
        path = path.rpartition("/")[0] or "/"
    return True


Group = tuple[str, bool, bool, bool, bool]
NEITHER = (False,) * 4


def find_asked(filters: Filters, mount: Path | None) -> dict[int, Group]:
    """Control groups that --cgroup or --exclude asks for, by id.

    Path; whether it is named itself by each of the two; whether it is below one named so. None of
    that is so of those in which such a one lies.
    Errors: TracerError for what is not there.
    """
    if mount is None:
        raise TracerError(
            "--cgroup needs control groups in one hierarchy (cgroup2), which is not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup/unified, and have processes in it",
        )
    paths = walk(mount)
    wanted, unwanted = (part.cgroups for part in (filters, filters.excluded))
    for text in (*wanted, *unwanted):
        if not any(is_called(path, text) for path in paths.values()):
            raise TracerError(
                f"--cgroup {text}: no control group, unit, container or pod is called so",
                "give one of: systemd-cgls; or a path of /proc/PID/cgroup",
            )
    found: dict[int, Group] = {}
    for number, path in paths.items():
        below, below_not = (any(is_below(path, x) for x in part) for part in (wanted, unwanted))
        if below or below_not:
            itself, itself_not = (
                any(is_called(path, text) for text in part) for part in (wanted, unwanted)
            )
            found[number] = path, itself, itself_not, below, below_not
    numbers = {path: number for number, path in paths.items()}
    for path in [one[0] for one in found.values() if one[1] or one[2]]:
        for above in (*_upwards(path.rpartition("/")[0]), "/"):
            found.setdefault(numbers[above], (above, *NEITHER))
    return found


def inside(text: str, mount: Path | None) -> str:
    """A path in the hierarchy, also where it was given as one in the file system."""
    if text == str(mount):
        return "/"
    return text.removeprefix(str(mount)) if text.startswith(f"{mount}/") else text
