"""The BCC back end: the same sources, compiled at run time, for kernels without BTF.

What clang -E left of bpf/tcptrace.bcc.c is text that BCC can take (bpf/bcc.h). Settings are written
into it as initial values; all else that user space tells the programs is in maps, as with CO-RE.
"""

from __future__ import annotations

import ctypes as C
import errno
import json
import mmap
import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tracer.errors import NotPermittedError, TracerError, UnsupportedError
from tracer.kernel import bcc_compile as compiler
from tracer.kernel import bcc_types, maps, tracefs
from tracer.kernel.libbpf import check, lib
from tracer.kernel.perf import open_kprobe, open_tracepoint
from tracer.kernel.proc_passes import ProcPasses
from tracer.wire.filters import Filters
from tracer.wire.layout import Layout, Records

SOURCE = Path(__file__).resolve().parent.parent / "_bpf" / "tcptrace.bcc.c"
PYTHON = "/usr/bin/python3"  # the one that Debian's BCC is made for
PACKAGES = ("/usr/lib/python3/dist-packages",)
INSTALL = "install it: apt-get install python3-bpfcc"
FOR = "for kernels without BTF alone: apt-get install python3-bpfcc"
# what BCC makes of a call that names a map, for bpf/bcc.h's MAP_POINTER
PREFIX = "#define bpf_sk_storage_get(map, ...) ((void *)(map))\n"
_TABLE = re.compile(r'BPF_F_TABLE\(("\w+", [^,]+, [^,]+, (\w+), )([^,]+)(, [^,;]+\);)')
_BUFFER = re.compile(r"BPF_PERF_OUTPUT\((\w+)\)")
_ATTACH = re.compile(
    r'TT_ATTACH\("(\w+)", "([\w/]+)"\)(\s*int (?:static __always_inline )?(\w+?)(?:_body)?\()'
)
_SETTING = re.compile(r"TT_SETTING_(\w+)")


class _RunOpts(C.Structure):
    """struct bpf_test_run_opts; what is behind the size is 0."""

    _fields_ = (("sz", C.c_size_t), ("rest", C.c_uint8 * 64))


_RUN = C.byref(_RunOpts(sz=C.sizeof(_RunOpts)))


class NotCompiledError(UnsupportedError):
    """The sources do not go with the types that BCC was given."""


class BccObject:
    """Set up, compiled and loaded, attached; `close` takes all of it away again."""

    def __init__(self, layout: Layout, filters: Filters, tell: Callable[[str], None]) -> None:
        try:
            text = SOURCE.read_text()
        except FileNotFoundError as error:
            raise TracerError(f"{SOURCE} is missing", "build it: make setup") from error
        self._layout, self._filters, self._tell = layout, filters, tell
        self._targets = {name: (how, at) for how, at, _, name in _ATTACH.findall(text)}
        self._text = _ATTACH.sub(r"\3", text)
        self._entries = {name: count for _, name, count, _ in _TABLE.findall(self._text)}
        self._map_names = [*self._entries, *_BUFFER.findall(self._text)]
        self._settings: dict[str, Records] = {}
        self._chosen: list[str] = []
        self._fds: dict[str, int] = {}
        self._links: list[tuple[str, int]] = []
        self._passes: ProcPasses | None = None

    # --- before `load` --------------------------------------------------------

    def choose(self, wanted: Iterable[str]) -> None:
        """Load these programs and no others; there are passes in place of iterators."""
        names = list(wanted)
        self._chosen = [name for name in names if name in self._targets]
        if "tt_iter_hearing" in names:
            self._chosen.append("tt_prime_here")

    def resize(self, name: str, entries: int) -> None:
        """Set a map's number of entries."""
        if name in self._entries:
            self._entries[name] = str(entries)

    def leave_out(self, name: str) -> None:
        """Nothing to do: what is not served has no maps here."""

    def entries(self, name: str) -> int:
        """A map's number of entries; of one that is not there, 1."""
        return int(self._entries.get(name, "1"))

    def setting(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a constant as a one-element array to write to."""
        return self._settings.setdefault(name, np.zeros(1, dtype))

    def load(self) -> None:
        """Have BCC compile what was chosen, and the kernel check it."""
        with tempfile.TemporaryDirectory(prefix="tcptrace-") as directory:
            self._load_first(bcc_types.find(Path(directory)))
        for name, value in self._settings.items():
            if name in self._entries:
                maps.put(self.map_fd(name), np.zeros(1, np.uint32), value)
        control = self.variable("tt_control", self._layout.dtypes["control"])
        self._passes = ProcPasses(self, self._layout, self._filters, control, self._tell)

    def _load_first(self, found: Iterable[bcc_types.Types]) -> None:
        """With the first that the sources compile with. Errors: of the first, if there is none."""
        errors = []
        for types in found:
            try:
                self._load(types)
                return
            except NotCompiledError as error:
                errors.append(error)
        raise errors[0]

    def _load(self, types: bcc_types.Types) -> None:
        request = {
            "text": types.text + PREFIX + self._final_text(),
            "maps": self._map_names,
            "programs": {name: self._targets[name][0] for name in self._chosen},
        }
        ours, its = socket.socketpair()
        with ours, its:
            try:
                done = subprocess.run(
                    [PYTHON, "-I", compiler.__file__, str(its.fileno())],
                    input=json.dumps(request),
                    capture_output=True,
                    text=True,
                    env=types.environment,
                    pass_fds=[its.fileno()],
                    check=False,
                )
            except FileNotFoundError as error:
                raise UnsupportedError(f"{PYTHON} is missing, which BCC needs", INSTALL) from error
            if done.returncode or done.stdout.strip() != "loaded":
                raise _explain(done)
            its.close()
            found = _receive(ours, len(self._map_names) + len(self._chosen))
        self._fds = dict(zip([*self._map_names, *self._chosen], found, strict=True))

    def _final_text(self) -> str:
        text = _TABLE.sub(
            lambda found: f"BPF_F_TABLE({found[1]}{self._entries[found[2]]}{found[4]}", self._text
        )
        return _SETTING.sub(lambda found: _initial(self._settings.get(found[1])), text)

    # --- after it -------------------------------------------------------------

    def map_fd(self, name: str) -> int:
        """File descriptor of a map."""
        return self._fds[name]

    def program_fd(self, name: str) -> int:
        """File descriptor of a program."""
        return self._fds[name]

    def skipped(self, program: str) -> int:
        """Nothing: the kernel counts that."""
        return 0

    def variable(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a global as a one-element array over the kernel's own memory."""
        return np.frombuffer(mmap.mmap(self.map_fd(name), dtype.itemsize), dtype, 1)

    def array(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return an array map as an array over the kernel's own memory; empty if there is none."""
        if name not in self._entries:
            return np.zeros(0, dtype)
        entries = self.entries(name)
        memory = mmap.mmap(self.map_fd(name), entries * dtype.itemsize)
        return np.frombuffer(memory, dtype, entries)

    def attach(self, name: str) -> None:
        """Attach a program; it is detached by `detach`, `close`, or the end of this process."""
        how, target = self._targets[name]
        if how != "raw_tp":
            self.attach_also(name, target)
            return
        try:
            link = lib().bpf_raw_tracepoint_open(target.encode(), self.program_fd(name))
            self._links.append((name, check(link, "it")))
        except OSError as error:
            raise _refused(error, f"cannot attach {name} to {target}") from error

    def attach_all(self, names: Iterable[str]) -> None:
        """Attach several programs, in order."""
        for name in names:
            self.attach(name)

    def attach_also(self, name: str, target: str) -> None:
        """Attach a program to a tracepoint `category/event`, or to a function."""
        how, program = self._targets[name][0], self.program_fd(name)
        try:
            if how == "tracepoint":
                link = open_tracepoint(int((tracefs.event(target) / "id").read_text()), program)
            else:
                link = open_kprobe(target, how == "kretprobe", program)
            self._links.append((name, link))
        except OSError as error:
            raise _refused(error, f"cannot attach {name} to {target}") from error

    def open_iterator(self, name: str) -> int:
        """File descriptor of one pass: read it to its end, close it."""
        assert self._passes is not None  # it is loaded
        make = self._passes.by_name.get(name)
        fd = os.memfd_create(name)
        if make is not None:
            with open(fd, "wb", closefd=False) as file:
                file.write(make().tobytes())
            os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def resize_value(self, name: str, size: int) -> None:
        """Nothing to do, likewise."""

    def preallocate(self, name: str) -> None:
        """Nothing to do, likewise."""

    def run_here(self, name: str) -> None:
        """Run a program on this thread. Errors: UnsupportedError."""
        try:
            check(lib().bpf_prog_test_run_opts(self.program_fd(name), _RUN), "it")
        except OSError as error:
            raise _refused(error, f"cannot run {name}") from error

    def begin_detach(self, only: Iterable[str] | None = None) -> None:
        """Take programs off their hooks, all or `only` these."""
        wanted = None if only is None else set(only)
        kept = []
        for name, link in self._links:
            if wanted is None or name in wanted:
                os.close(link)
            else:
                kept.append((name, link))
        self._links = kept

    def detach(self) -> None:
        """Take every program off its hook; maps stay readable."""
        self.begin_detach()

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        while self._fds:
            os.close(self._fds.popitem()[1])


def is_installed() -> bool:
    """Whether Debian's BCC is there."""
    return any(Path(root, "bcc/libbcc.py").exists() for root in PACKAGES)


def _receive(channel: socket.socket, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        data, some, _, _ = socket.recv_fds(channel, 1, compiler.AT_ONCE)
        if not data:
            break
        found += some
    return found


def _initial(value: Records | None) -> str:
    """A C initializer, of what is not 0."""
    if value is None:
        return ""
    parts = []
    for name in value.dtype.names or ():
        member = value[name][0]
        if not name.startswith("_gap") and np.any(member):
            written = ",".join(str(int(one)) for one in np.ravel(member))
            parts.append(f".{name}=" + (f"{{{written}}}" if np.ndim(member) else written))
    return ",".join(parts)


def _explain(done: subprocess.CompletedProcess[str]) -> TracerError:
    said = done.stderr.strip().splitlines()
    last = said[-1] if said else "it ended without a word"
    if done.returncode == compiler.NO_BCC:
        return UnsupportedError(f"BCC is not installed for {PYTHON}: {last}", INSTALL)
    if done.returncode == compiler.NOT_BCC:
        return UnsupportedError(
            f"{last} is another project's, of the same name as BCC's",
            "take it away (pip uninstall bcc), then: apt-get install python3-bpfcc",
        )
    if done.returncode == compiler.NOT_COMPILED:
        wrong = next((line for line in said if "error:" in line), last)
        return NotCompiledError(f"BCC cannot compile the programs here: {wrong}", bcc_types.ADVICE)
    text = done.stdout.strip() or last
    if "Operation not permitted" in done.stderr + text:
        return NotPermittedError(f"BCC: {text}", "see: tcptrace doctor")
    return UnsupportedError(f"BCC: {text}", "see: tcptrace doctor")


def _refused(error: OSError, what: str) -> TracerError:
    kind = NotPermittedError if error.errno in (errno.EPERM, errno.EACCES) else UnsupportedError
    text = os.strerror(error.errno) if error.errno else str(error)
    return kind(f"{what}: {text}", "see: tcptrace doctor")
