"""Build steps: compile bpf/ into the object that the package carries; for `make wheel`, libbpf too.

A wheel is for machines that need not have clang, libbpf or headers. So it has Debian's libbpf and
what that needs in tracer/_carried, under names of its own: no other library of the process is taken
for one of these, or these for another. Their licences lie beside them.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
OBJECT = HERE / "tracer" / "_bpf" / "tcptrace.bpf.o"
OLD = OBJECT.with_name("tcptrace-old.bpf.o")  # for kernels before 5.12: bpf/old.h
FOR_BCC = OBJECT.with_name("tcptrace.bcc.c")
ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64"}
CARRIES = bool(os.environ.get("TCPTRACE_CARRIES"))  # as `make wheel` says
LIBBPF = Path(f"/usr/lib/{platform.machine()}-linux-gnu/libbpf.so.1")
# of the C library, which is the machine's: the wheel's tag says how new it must be
OF_LIBC = ("linux-vdso", "ld-linux", "libc.", "libm.", "libdl.", "libpthread.", "librt.")
COMMON_LICENCES = Path("/usr/share/common-licenses")
NOTICE = """These libraries are Debian's, changed in nothing but the names by which they find each
other. Their licences lie beside this file. Of each stands here of which version of which source
package it is; `apt-get source` fetches that.
"""


class BuildWithObject(build_py):
    """Compile the eBPF programs first, so that package data holds them."""

    def run(self) -> None:
        """Compile, then build as usual."""
        compile_object()
        super().run()
        if CARRIES:
            carry(Path(self.build_lib) / "tracer" / "_carried")


class Carrying(Distribution):
    """With libbpf in it, a wheel is for one architecture."""

    def has_ext_modules(self) -> bool:
        """Whether there is machine code in it."""
        return CARRIES


class AnyPython(bdist_wheel):
    """It is for any Python all the same, as nothing is linked with Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Python, its binary interface, platform."""
        python, interface, system = super().get_tag()
        return ("py3", "none", system) if CARRIES else (python, interface, system)


def compile_object() -> None:
    """Compile bpf/tcptrace.bpf.c. Errors: SystemExit, saying what to install."""
    sources = [path for path in (HERE / "bpf").rglob("*") if path.suffix in (".c", ".h")]
    sources += [HERE / "tracer" / "wire" / name for name in ("btf.py", "built.py")]
    types = [path.with_suffix(".json") for path in (OLD, OBJECT)]
    made = (FOR_BCC, *types, OLD, OBJECT)
    if all(path.exists() for path in made) and OBJECT.stat().st_mtime >= max(
        p.stat().st_mtime for p in sources
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
        *("-c", str(HERE / "bpf" / "tcptrace.bpf.c")),
    ]
    # what BCC is given, where the kernel has no BTF: without our macros
    source = str(HERE / "bpf" / "tcptrace.bcc.c")
    for_bcc = ["clang", "-E", "-P", "-nostdinc", "-DTT_BCC", arch, source, "-o"]
    with tempfile.TemporaryDirectory(dir=OBJECT.parent) as folder:
        new = Path(folder)
        old, built = new / OLD.name, new / OBJECT.name
        steps = (
            [*for_bcc, str(new / FOR_BCC.name)],
            [*command, "-DTT_OLD", "-o", str(old)],
            [*command, "-o", str(built)],
        )
        if any(subprocess.run(one, check=False).returncode for one in steps):
            raise SystemExit("the eBPF programs do not compile; see clang's message above")
        read = [sys.executable, "-m", "tracer.wire.built", str(old), str(built)]
        if subprocess.run(read, check=False, cwd=HERE).returncode:
            raise SystemExit("the types of the eBPF programs cannot be read; see above")
        # the object last: whoever finds it new finds all of it
        for path in made:
            (new / path.name).replace(path)


def carry(home: Path) -> None:
    """Put libbpf, what it needs and their licences into `home`. Errors: SystemExit."""
    for needed, package in ((LIBBPF, "libbpf1"), (shutil.which("patchelf"), "patchelf")):
        if not needed or not Path(needed).exists():
            raise SystemExit(f"{package} is missing; install it: apt-get install {package}")
    home.mkdir(parents=True, exist_ok=True)
    libraries = dict(_needs())
    own = {name: name.replace(".so", "-tcptrace.so", 1) for name in libraries}
    notices = [NOTICE]
    for name, path in libraries.items():
        copy = home / own[name]
        shutil.copyfile(path, copy)
        replaced = [word for pair in own.items() for word in ("--replace-needed", *pair)]
        _told("patchelf", *replaced, "--set-soname", own[name], str(copy))
        _told("patchelf", "--set-rpath", "$ORIGIN", str(copy))
        notices.append(f"{own[name]}: {_license(path.resolve(), home)}\n")
    (home / "NOTICE").write_text("\n".join(notices))


def _needs() -> Iterator[tuple[str, Path]]:
    """libbpf and all that is loaded with it, by the names it is asked for."""
    yield LIBBPF.name, LIBBPF
    for name, path in re.findall(r"^\s*(\S+) => (/\S+)", _told("ldd", str(LIBBPF)), re.MULTILINE):
        if not name.startswith(OF_LIBC):
            yield name, Path(path)


def _license(library: Path, home: Path) -> str:
    """Copy what it may be passed on by; returns which source it was built of."""
    # by its last name: which of /lib and /usr/lib it is said to be in differs
    package = _told("dpkg-query", "-S", f"*/{library.name}").partition(":")[0]
    text = Path("/usr/share/doc", package, "copyright").read_text()
    (home / f"LICENSE.{package}").write_text(text)
    for name in sorted(
        {one.rstrip(".") for one in re.findall(rf"{COMMON_LICENCES}/([\w.-]+)", text)}
    ):
        shutil.copyfile(COMMON_LICENCES / name, home / f"LICENSE.{name}")
    form = "${source:Package} ${source:Version}"
    return _told("dpkg-query", "-W", "-f", form, package)


def _told(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


setup(distclass=Carrying, cmdclass={"build_py": BuildWithObject, "bdist_wheel": AnyPython})
