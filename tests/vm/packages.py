"""Kernels from Debian's archive, unpacked into a folder of their own: nothing is installed.

apt gets a configuration and a state of its own, so that other releases can be asked without the
machine's own lists being touched.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness import ROOT

HERE = Path(__file__).parent
BUILD = ROOT / "tests/build/vm"
MIRRORS = {False: "http://deb.debian.org/debian", True: "http://deb.debian.org/debian-security"}
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
FRESH_S = 24 * 3600
# since 7.2 a kernel is several packages of one name's ending
PARTS = ("image", "binary", "modules", "base")


@dataclass(frozen=True)
class Kernel:
    """One kernel to boot, as kernels.toml has it; `cannot`: tests that fail there, and why."""

    line: str
    suites: tuple[str, ...]
    package: str
    why: str
    cannot: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return BUILD / "kernels" / self.line


def known() -> list[Kernel]:
    """All of kernels.toml."""
    found = tomllib.loads((HERE / "kernels.toml").read_text())["kernel"]
    return [Kernel(**{**one, "suites": tuple(one["suites"])}) for one in found]


def image(kernel: Kernel) -> Path:
    """The newest point release, fetched and unpacked if it is not there yet."""
    apt = Apt(kernel)
    name = apt.newest()
    have = kernel.folder / "package"
    if not have.exists() or have.read_text() != name:
        shutil.rmtree(kernel.folder, ignore_errors=True)
        kernel.folder.mkdir(parents=True)
        for archive in apt.fetch(name):
            run("dpkg", "-x", archive, kernel.folder)
            archive.unlink()
        if not (kernel.folder / "lib").exists():
            (kernel.folder / "lib").symlink_to("usr/lib")
        for inside in (kernel.folder / "lib/modules").glob("*/vmlinuz"):
            # where 7.2 has it; installing it would copy it to /boot
            (kernel.folder / "boot").mkdir(exist_ok=True)
            inside.rename(kernel.folder / f"boot/vmlinuz-{inside.parent.name}")
        have.write_text(name)
    (found,) = (kernel.folder / "boot").glob("vmlinuz-*")
    if not (kernel.folder / "lib/modules" / release(found) / "modules.dep.bin").exists():
        run("depmod", "-b", kernel.folder, release(found))
    return found


def release(vmlinuz: Path) -> str:
    return vmlinuz.name.removeprefix("vmlinuz-")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command; what it printed. Errors: RuntimeError with what it complained of."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Apt:
    """apt with the suites of one kernel and nothing else."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._root = BUILD / "apt" / kernel.line
        for folder in ("lists/partial", "cache/archives/partial"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        lines = [
            f"deb [signed-by={KEYS}] {MIRRORS[s.endswith('-security')]} {s} main\n"
            for s in kernel.suites
        ]
        self._sources = self._root / "sources.list"
        self._sources.write_text("".join(lines))
        places = {
            "Dir::Etc::sourcelist": self._sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State": self._root,
            "Dir::State::status": self._root / "status",
            "Dir::Cache": self._root / "cache",
            "APT::Sandbox::User": "root",  # the folder may be out of _apt's reach
        }
        self._options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]

    def _update(self) -> None:
        stamp = self._root / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < FRESH_S:
            return
        run("apt-get", *self._options, "-q", "update")
        stamp.touch()

    def newest(self) -> str:
        """Name of the newest package that fits."""
        self._update()
        fits = re.compile(self._kernel.package)
        lines = run("apt-cache", *self._options, "pkgnames", "linux-image-").split()
        names = [name for name in lines if fits.fullmatch(name)]
        if not names:
            raise RuntimeError(f"no package of {self._kernel.suites} fits {self._kernel.package}")
        return max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])

    def fetch(self, name: str) -> list[Path]:
        """The package, and its other parts where it is split."""
        rest = name.removeprefix("linux-image-")
        every = set(run("apt-cache", *self._options, "pkgnames", "linux-").split())
        parts = [part for p in PARTS if (part := f"linux-{p}-{rest}") in every]
        run("apt-get", *self._options, "-q", "download", *parts, cwd=self._kernel.folder)
        return list(self._kernel.folder.glob("*.deb"))
