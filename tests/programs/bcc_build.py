"""What BCC needs to compile bpf/: the source with our macros taken away, and the kernel's types.

BCC asks for a tree of kernel headers. Here that is one file, made from the running kernel's BTF,
which its command line includes first; what BCC itself includes by name is empty.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.harness import ROOT

EMPTY = (
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
FIRST = """
#define BPF_NO_PRESERVE_ACCESS_INDEX
#include "../vmlinux.h"
#define _UAPI__LINUX_BPF_H__
#define CONFIG_BPF_SYSCALL 1
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
#define LINUX_VERSION_CODE KERNEL_VERSION({version})
#define __always_inline inline __attribute__((always_inline))
"""


def make_headers(directory: Path) -> Path:
    """The tree of headers, for BCC_KERNEL_SOURCE."""
    include = directory / "include"
    for name in EMPTY:
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        (include / name).touch()
    dump = ["bpftool", "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"]
    types = subprocess.run(dump, check=True, capture_output=True, text=True).stdout
    (include / "vmlinux.h").write_text(types)
    numbers = os.uname().release.split("-")[0].split(".")
    version = ", ".join([*numbers, "0"][:3])
    (include / "linux/kconfig.h").write_text(FIRST.replace("{version}", version))
    return directory


def make_source(directory: Path, **settings: int) -> Path:
    """bpf/state.bcc.c without macros of ours: BCC cannot rewrite what a macro made."""
    made = directory / "state.c"
    given = ",".join(f".{name}={value}" for name, value in settings.items())
    arch = {"x86_64": "x86", "aarch64": "arm64"}[os.uname().machine]
    clang = ["clang", "-E", "-P", "-nostdinc", "-DTT_BCC", f"-D__TARGET_ARCH_{arch}"]
    source = str(ROOT / "bpf/state.bcc.c")
    subprocess.run([*clang, f"-DTT_SETTINGS={given}", source, "-o", str(made)], check=True)
    return made
