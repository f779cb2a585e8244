"""The kernel's own types for BCC: made from its BTF, or its headers where it has none.

BCC asks for a tree of kernel headers. From BTF that is one file, which its command line includes
first; what BCC itself includes by name is empty. Headers must be the running kernel's: those of
another version compile, load, and read garbage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tracer.errors import UnsupportedError
from tracer.kernel.preflight import BTF

MODULES = Path("/lib/modules")
RELEASE = "include/generated/utsrelease.h"
ADVICE = "see: tcptrace doctor"
_EMPTY = (
    "linux/types.h",
    "linux/version.h",
    "linux/log2.h",
    "linux/bpf_common.h",
    "asm/page.h",
    "uapi/linux/bpf.h",
    "uapi/linux/if_packet.h",
    "uapi/linux/if_ether.h",
    "uapi/linux/ptrace.h",
)
# the first header BCC includes; the guard keeps out its own copy of enums that BTF has
_FIRST = """
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "../vmlinux.h"
#define _UAPI__LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL 1
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION({version})
#define __always_inline inline __attribute__((always_inline))
"""


# what the sources read, where it is not all in one file
_HEADERS = """
#include <linux/bpf.h>
#include <linux/cgroup-defs.h>
#include <linux/fdtable.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/sched/signal.h>
#include <net/dst.h>
#include <net/inet_timewait_sock.h>
#include <net/net_namespace.h>
#include <net/tcp.h>
"""


_OF_ARCH = "arch/*/include"
_GAPS = re.compile(r"(^.*\n)((?:^\t+(?:long|int|short|char): [1-9]\d*;\n)+)", re.MULTILINE)
_BIT_FIELD = re.compile(r": \d+;$", re.MULTILINE)


@dataclass(frozen=True)
class Types:
    """`text` stands before the source; in `environment` BCC finds what that includes."""

    text: str
    environment: dict[str, str]


def find(directory: Path) -> Iterator[Types]:
    """The running kernel's types, in the order in which to try whether the sources compile.

    `directory` is empty, and lasts as long as they are needed; what one takes is made as it is
    asked for. Errors: UnsupportedError, naming what is to be installed.
    """
    if BTF.exists():
        _make_tree(directory)
        yield Types("", dict(os.environ) | {"BCC_KERNEL_SOURCE": str(directory)})
        return
    headers = check_headers()
    without = {name: value for name, value in os.environ.items() if name != "BCC_KERNEL_SOURCE"}
    yield Types(_HEADERS, without)
    _merge_headers(headers, directory)
    yield Types(_HEADERS, without | {"BCC_KERNEL_SOURCE": str(directory)})


def check_headers(modules: Path = MODULES) -> Path:
    """Where the running kernel's headers are. Errors: UnsupportedError, where there are none."""
    release = os.uname().release
    advice = f"install them: apt-get install linux-headers-{release}"
    place = modules / release / "build"
    try:
        text = (place / RELEASE).read_text()
    except OSError as error:
        raise UnsupportedError(
            f"this kernel has no BTF, and its headers are missing ({place})", advice
        ) from error
    found = re.search(r'UTS_RELEASE "([^"]*)"', text)
    version = found[1] if found else "an unknown version"
    if version != release:
        raise UnsupportedError(
            f"the headers in {place} are of {version}, the kernel is {release}:"
            " what is compiled with them would read garbage",
            advice,
        )
    return place


def fill_gaps(text: str) -> str:
    """Gaps between members as bytes: bpftool writes them as bit fields without a name.

    BCC makes one wide number of several of these, which it aligns: all members behind would be read
    at a wrong place. What follows a bit field with a name begins within a byte, and stays.
    """
    numbers = count()

    def fill(found: re.Match[str]) -> str:
        before, gaps = found[1], found[2]
        bits = [int(size) for size in re.findall(r": (\d+);", gaps)]
        if _BIT_FIELD.search(before) or sum(bits) % 8:
            return found[0]
        return f"{before}\tchar tt_gap{next(numbers)}[{sum(bits) // 8}];\n"

    return _GAPS.sub(fill, text)


def read_header(name: str) -> str:
    """A header of the running kernel's. Errors: OSError, UnsupportedError."""
    build = check_headers()
    whole = _source_of(build) / name
    return (whole if whole.exists() else build / name).read_text()


def _source_of(build: Path) -> Path:
    """Distributions may keep apart what is made for one architecture, and what is not."""
    source = build.parent / "source"
    return source if source.exists() else build


def _merge_headers(build: Path, directory: Path) -> None:
    """A tree of links to the kernel's headers, where another file stands for the first one.

    BCC brings a linux/bpf.h of its own, of the kernel that it was made with: other headers of newer
    ones do not go with that, as BCC does not with an older one. Here the running kernel's comes
    before it.
    """
    build, source = build.resolve(), _source_of(build).resolve()
    (directory / "build").symlink_to(build)  # BCC may look there for what was made
    for name in ("include", *(str(path.relative_to(source)) for path in source.glob(_OF_ARCH))):
        _link_all(source / name, directory / name)
        made = build / name / "generated"
        if made.exists() and not (directory / name / "generated").exists():
            (directory / name / "generated").symlink_to(made)
    first = directory / "include/linux/kconfig.h"
    (directory / "include/linux").unlink()
    _link_all(source / "include/linux", first.parent)
    first.unlink()
    real = (source / "include/linux/kconfig.h", source / "include/uapi/linux/bpf.h")
    first.write_text("".join(f'#include "{path}"\n' for path in real))


def _link_all(folder: Path, place: Path) -> None:
    place.mkdir(parents=True)
    for path in folder.iterdir():
        (place / path.name).symlink_to(path)


def _make_tree(directory: Path) -> None:
    include = directory / "include"
    for name in _EMPTY:
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        (include / name).touch()
    tool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if tool is None:
        raise UnsupportedError(
            "bpftool is missing, which writes the kernel's types down for BCC",
            "install it: apt-get install bpftool",
        )
    dump = [tool, "btf", "dump", "file", str(BTF), "format", "c"]
    done = subprocess.run(dump, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnsupportedError(f"bpftool: {done.stderr.strip()}", "see: tcptrace doctor")
    (include / "vmlinux.h").write_text(fill_gaps(done.stdout))
    numbers = os.uname().release.split("-")[0].split(".")
    version = ", ".join([*numbers, "0"][:3])
    (include / "linux/kconfig.h").write_text(_FIRST.replace("{version}", version))
