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
NO_SUITE = "a Release file"  # which a suite does not have, or no longer, as apt-get says
# since 7.2 a kernel is several packages of one name's ending
PARTS = ("image", "binary", "modules", "base")


@dataclass(frozen=True)
class Kernel:
    """One kernel to boot, as kernels.toml has it; `cannot`: tests that fail there, and why.

    `bcc`: BCC is tried there, too, on the kernel's own headers. `refuses`: each subject and rung
    that it does not take.
    """

    line: str
    suites: tuple[str, ...]
    package: str
    why: str
    bcc: bool = False
    refuses: tuple[str, ...] = ()
    cannot: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return BUILD / "kernels" / self.line


def known() -> list[Kernel]:
    """All of kernels.toml."""
    found = tomllib.loads((HERE / "kernels.toml").read_text())["kernel"]
    lists = ("suites", "refuses")
    return [Kernel(**one | {name: tuple(one.get(name, ())) for name in lists}) for one in found]


class GoneError(RuntimeError):
    """The mirror has no such kernel any more."""


def image(kernel: Kernel) -> Path:
    """The newest point release, fetched and unpacked if it is not there yet.

    Where the mirror has none any more, the one that was fetched before. Errors: GoneError where
    there was none before; RuntimeError.
    """
    have = kernel.folder / "package"
    try:
        _renew(kernel, have.read_text() if have.exists() else "")
    except RuntimeError:
        if not have.exists():
            raise
    (found,) = (kernel.folder / "boot").glob("vmlinuz-*")
    if not (kernel.folder / "lib/modules" / release(found) / "modules.dep.bin").exists():
        run("depmod", "-b", kernel.folder, release(found))
    return found


def headers(kernel: Kernel, vmlinuz: Path) -> Path:
    """The headers of what `image` gave, for /usr/src; fetched if they are not there yet.

    Errors: RuntimeError.
    """
    folder = kernel.folder / "headers"
    if not folder.exists():
        new = kernel.folder / "headers.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        whole = f"linux-headers-{release(vmlinuz)}"
        for archive in Apt(kernel).download([whole, f"{whole.rpartition('-')[0]}-common"], new):
            run("dpkg", "-x", archive, new)
            archive.unlink()
        for link in new.glob("**/lib/modules/*/*"):  # build and source: to where they are installed
            there = kernel.folder / "lib/modules" / release(vmlinuz) / link.name
            there.unlink(missing_ok=True)
            there.symlink_to(link.readlink())
        new.rename(folder)
    return folder / "usr/src"


def _renew(kernel: Kernel, have: str) -> None:
    """Fetch and unpack it, unless that is what there is. What was there stays until all is."""
    apt = Apt(kernel)
    name = apt.newest()
    if name == have:
        return
    new = kernel.folder.with_name(f"{kernel.line}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for archive in apt.fetch(name, new):
        run("dpkg", "-x", archive, new)
        archive.unlink()
    if not (new / "lib").exists():
        (new / "lib").symlink_to("usr/lib")
    for inside in (new / "lib/modules").glob("*/vmlinuz"):
        # where 7.2 has it; installing it would copy it to /boot
        (new / "boot").mkdir(exist_ok=True)
        inside.rename(new / f"boot/vmlinuz-{inside.parent.name}")
    (new / "package").write_text(name)
    old = kernel.folder.with_name(f"{kernel.line}.old")
    shutil.rmtree(old, ignore_errors=True)
    if kernel.folder.exists():
        kernel.folder.rename(old)
    new.rename(kernel.folder)
    shutil.rmtree(old, ignore_errors=True)


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
            "APT::Update::Error-Mode": "any",  # a network that is down is an error
        }
        self._options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]

    def _update(self) -> None:
        stamp = self._root / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < FRESH_S:
            return
        try:
            run("apt-get", *self._options, "-q", "update")
        except RuntimeError as error:
            if NO_SUITE in str(error):
                raise GoneError(str(error)) from error
            raise
        stamp.touch()

    def newest(self) -> str:
        """Name of the newest package that fits."""
        self._update()
        fits = re.compile(self._kernel.package)
        lines = run("apt-cache", *self._options, "pkgnames", "linux-image-").split()
        names = [name for name in lines if fits.fullmatch(name)]
        if not names:
            raise GoneError(f"no package of {self._kernel.suites} fits {self._kernel.package}")
        return max(names, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])

    def fetch(self, name: str, folder: Path) -> list[Path]:
        """The package, and its other parts where it is split, into a folder."""
        rest = name.removeprefix("linux-image-")
        every = set(run("apt-cache", *self._options, "pkgnames", "linux-").split())
        parts = [part for p in PARTS if (part := f"linux-{p}-{rest}") in every]
        return self.download(parts, folder)

    def download(self, names: list[str], folder: Path) -> list[Path]:
        """Packages, into a folder."""
        run("apt-get", *self._options, "-q", "download", *names, cwd=folder)
        return list(folder.glob("*.deb"))
