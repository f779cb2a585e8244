"""A kernel without BTF, as a command sees it, and the kernel's headers where it has some."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tracer.errors import UnsupportedError
from tracer.kernel import bcc_types

_HIDE = "mount -t tmpfs none /sys/kernel/btf"


def without_btf(headers: Path) -> list[str]:
    """What runs a command where the kernel tells no BTF, and its headers are in `headers`.

    In a mount namespace of its own: nothing of it is seen from outside.
    """
    over = f"lowerdir={headers}:/usr/lib"
    steps = (
        _HIDE,
        f"mount -t overlay -o {over} overlay /usr/lib",
        'exec "$@"',
    )
    return ["unshare", "--mount", "sh", "-c", " && ".join(steps), "sh"]


def make_headers(directory: Path) -> None:
    """A tree that holds the running kernel's types where its headers would be."""
    release = os.uname().release
    build = directory / "modules" / release / "build"
    build.mkdir(parents=True, exist_ok=True)
    bcc_types._make_tree(build)
    for name in re.findall("#include <(.*?)>", bcc_types._HEADERS):
        (build / "include" / name).parent.mkdir(parents=True, exist_ok=True)
        (build / "include" / name).touch()
    (build / bcc_types.RELEASE).parent.mkdir(parents=True, exist_ok=True)
    (build / bcc_types.RELEASE).write_text(f'#define UTS_RELEASE "{release}"\n')
    # the kernel's own numbers its counters by their order: an enum whose values bpftool writes out
    types = (build / "include/vmlinux.h").read_text()
    counters = re.findall(r"^\t((?:LINUX|IPSTATS)_MIB_\w+) = \d+,", types, re.MULTILINE)
    snmp = build / "include/uapi/linux/snmp.h"
    snmp.parent.mkdir(parents=True, exist_ok=True)
    snmp.write_text("".join(f"\t{name},\n" for name in counters))


def with_own_headers(directory: Path) -> list[str]:
    """What runs a command where the kernel tells no BTF: its headers are those installed.

    Where there are none of it, `directory` gets a tree that is made from BTF.
    """
    try:
        bcc_types.check_headers()
    except UnsupportedError:
        make_headers(directory)
        return without_btf(directory)
    return ["unshare", "--mount", "sh", "-c", f'{_HIDE} && exec "$@"', "sh"]
