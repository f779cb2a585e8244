"""Build step: compile bpf/ into the object that the package carries."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
OBJECT = HERE / "tracer" / "_bpf" / "tcptrace.bpf.o"
FOR_BCC = OBJECT.with_name("tcptrace.bcc.c")
ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}


class BuildWithObject(build_py):
    """Compile the eBPF programs first, so that package data holds them."""

    def run(self) -> None:
        """Compile, then build as usual."""
        compile_object()
        super().run()


def compile_object() -> None:
    """Compile bpf/tcptrace.bpf.c. Errors: SystemExit, saying what to install."""
    sources = [path for path in (HERE / "bpf").rglob("*") if path.suffix in (".c", ".h")]
    if (
        FOR_BCC.exists()
        and OBJECT.exists()
        and OBJECT.stat().st_mtime >= max(p.stat().st_mtime for p in sources)
    ):
        return
    if not shutil.which("clang"):
        raise SystemExit("clang is missing; install it: apt-get install clang libbpf-dev")
    if not Path("/usr/include/bpf/bpf_helpers.h").exists():
        raise SystemExit("libbpf's headers are missing; install them: apt-get install libbpf-dev")
    machine = platform.machine()
    arch = f"-D__TARGET_ARCH_{ARCHITECTURES[machine]}"
    command = [
        *("clang", "-O2", "-g", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter"),
        *("-target", "bpf", "-mcpu=v3", arch),
        f"-I/usr/include/{machine}-linux-gnu",
        *("-c", str(HERE / "bpf" / "tcptrace.bpf.c"), "-o", str(OBJECT)),
    ]
    # what BCC is given, where the kernel has no BTF: without our macros
    source = str(HERE / "bpf" / "tcptrace.bcc.c")
    for_bcc = ["clang", "-E", "-P", "-nostdinc", "-DTT_BCC", arch, source, "-o", str(FOR_BCC)]
    OBJECT.parent.mkdir(exist_ok=True)
    if any(subprocess.run(one, check=False).returncode for one in (for_bcc, command)):
        raise SystemExit("the eBPF programs do not compile; see clang's message above")


setup(cmdclass={"build_py": BuildWithObject})
