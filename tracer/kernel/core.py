"""The CO-RE back end: open the prebuilt object, set it up, load it, attach it."""

from __future__ import annotations

import ctypes as C
import mmap
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from tracer.errors import NotPermittedError, TracerError, UnsupportedError
from tracer.kernel.libbpf import Messages, check, check_pointer, lib, missed_by_kprobe
from tracer.wire.btf import Btf
from tracer.wire.layout import Layout, Records


class CoreObject:
    """One BPF object: opened, set up, loaded, attached; `close` takes all of it away again."""

    def __init__(
        self, path: Path, types: Btf, layout: Layout, messages: Messages | None = None
    ) -> None:
        self.messages = messages or Messages()
        self._path = path
        self._steps: list[Callable[[CoreObject], None]] = []
        self._types = types
        self._layout = layout
        self._lib = lib()
        self._links: dict[str, int] = {}
        self._detaching: list[threading.Thread] = []
        self._one_attaches = threading.Lock()
        self._while_attached = threading.Lock()
        self._skips: dict[str, Records] = {}
        self._kprobes: dict[str, int] = {}  # what they missed, once they are detached
        try:
            self._object = check_pointer(
                self._lib.bpf_object__open_file(os.fsencode(path), None), f"cannot open {path}"
            )
        except OSError as error:
            raise TracerError(str(error), "build it: make setup") from error

    def choose(self, wanted: Iterable[str]) -> None:
        """Load these programs and no others."""
        names = set(wanted)
        self._steps.append(lambda one: one.choose(names))
        program = self._lib.bpf_object__next_program(self._object, None)
        while program:
            name = self._lib.bpf_program__name(program).decode()
            self._lib.bpf_program__set_autoload(program, name in names)
            program = self._lib.bpf_object__next_program(self._object, program)

    def leave_out_maps(self) -> None:
        """Make no map but those of constants and variables: what is chosen uses no other."""
        self._steps.append(lambda one: one.leave_out_maps())
        found = self._lib.bpf_object__next_map(self._object, None)
        while found:
            if not self._lib.bpf_map__is_internal(found):
                self._lib.bpf_map__set_autocreate(found, False)
            found = self._lib.bpf_object__next_map(self._object, found)

    def leave_out(self, name: str) -> None:
        """Do not make this map: what is chosen uses it on no road that is left."""
        self._steps.append(lambda one: one.leave_out(name))
        check(self._lib.bpf_map__set_autocreate(self._map(name), False), f"map {name}")

    def has_map(self, name: str) -> bool:
        """Whether it is made."""
        return bool(self._lib.bpf_map__autocreate(self._map(name)))

    def share(self, other: CoreObject, apart: Iterable[str]) -> None:
        """Before `load`: take the maps of an object that is loaded, all but constants and `apart`.

        Its variables too: what is set in one is set in both.
        """
        kept = set(apart)
        self._steps.append(lambda one: one.share(other, kept))
        found = self._lib.bpf_object__next_map(self._object, None)
        while found:
            name = self._lib.bpf_map__name(found).decode()
            if not other.has_map(name):
                self._lib.bpf_map__set_autocreate(found, False)
            elif name not in kept and "rodata" not in name:
                check(self._lib.bpf_map__reuse_fd(found, other.map_fd(name)), f"map {name}")
            found = self._lib.bpf_object__next_map(self._object, found)

    def resize(self, name: str, entries: int) -> None:
        """Set a map's number of entries, before `load`."""
        self._steps.append(lambda one: one.resize(name, entries))
        check(self._lib.bpf_map__set_max_entries(self._map(name), entries), f"size of {name}")

    def preallocate(self, name: str) -> None:
        """Give a hash room for all its entries from the start, before `load`."""
        self._steps.append(lambda one: one.preallocate(name))
        check(self._lib.bpf_map__set_map_flags(self._map(name), 0), f"flags of {name}")

    def resize_value(self, name: str, size: int) -> None:
        """Set the size of a map's values, before `load`."""
        self._steps.append(lambda one: one.resize_value(name, size))
        check(self._lib.bpf_map__set_value_size(self._map(name), size), f"size of {name}")

    def entries(self, name: str) -> int:
        """A map's number of entries."""
        return int(self._lib.bpf_map__max_entries(self._map(name)))

    def setting(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a constant as a one-element array to write to, before `load`."""
        section, offset, _ = self._types.symbols[name]
        return np.frombuffer(memoryview(self._initial(section)), dtype, 1, offset)

    def _initial(self, section: str) -> C.Array[C.c_uint8]:
        """What constants or variables are to begin with."""
        size = C.c_size_t()
        address = check_pointer(
            self._lib.bpf_map__initial_value(self._map(section), C.byref(size)), section
        )
        return (C.c_uint8 * size.value).from_address(address)

    def variable(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return a global as a one-element array over the kernel's own memory, after `load`."""
        section, offset, _ = self._types.symbols[name]
        memory = mmap.mmap(self.map_fd(section), offset + dtype.itemsize)
        return np.frombuffer(memory, dtype, 1, offset)

    def array(self, name: str, dtype: np.dtype[np.void]) -> Records:
        """Return an array map as an array over the kernel's own memory, after `load`."""
        entries = self.entries(name)
        memory = mmap.mmap(self.map_fd(name), entries * dtype.itemsize)
        return np.frombuffer(memory, dtype, entries)

    def load(self) -> None:
        """Have the kernel check and load what was chosen."""
        try:
            self._load()
        except OSError as error:
            self._fail_again()
            raise self._explain(error) from error

    def _load(self) -> None:
        check(self._lib.bpf_object__load(self._object), "cannot load the programs")

    def _fail_again(self) -> None:
        """Have libbpf say why: an object can be loaded once, so it takes another, set up alike."""
        with self.messages.heard(), suppress(OSError, TracerError):
            again = CoreObject(self._path, self._types, self._layout, self.messages)
            try:
                for step in self._steps:
                    step(again)
                for section in {section for section, _, _ in self._types.symbols.values()}:
                    with suppress(OSError):  # nothing is kept there
                        was = self._initial(section)
                        C.memmove(again._initial(section), was, C.sizeof(was))
                again._load()
            finally:
                again.close()

    def _explain(self, error: OSError) -> TracerError:
        text = "; ".join(self.messages.lines[-3:])
        if error.errno in (1, 13):
            return NotPermittedError(f"{error.strerror} ({text})", "see: tcptrace doctor")
        return UnsupportedError(f"{error.strerror} ({text})", "see: tcptrace doctor")

    def _map(self, name: str) -> int:
        return check_pointer(
            self._lib.bpf_object__find_map_by_name(self._object, name.encode()), f"map {name}"
        )

    def _program(self, name: str) -> int:
        return check_pointer(
            self._lib.bpf_object__find_program_by_name(self._object, name.encode()),
            f"program {name}",
        )

    def map_fd(self, name: str) -> int:
        """File descriptor of a map, after `load`."""
        return check(self._lib.bpf_map__fd(self._map(name)), f"map {name}")

    def program_fd(self, name: str) -> int:
        """File descriptor of a program, after `load`."""
        return check(self._lib.bpf_program__fd(self._program(name)), f"program {name}")

    def skipped(self, program: str) -> int:
        """Runs that it should have had and `recursion_misses` does not tell of.

        Those that a kprobe missed; or those that a program counts itself (bpf/old.h).
        """
        if program in self._kprobes:
            with self._while_attached:  # another thread may detach it
                link = self._links.get(program)
                return missed_by_kprobe(link) if link else self._kprobes[program]
        name = f"tt_skipped_{program}"
        if name not in self._types.symbols:
            return 0
        if name not in self._skips:
            self._skips[name] = self.variable(name, np.dtype([("runs", np.uint64)]))
        return int(self._skips[name]["runs"][0])

    def attach(self, name: str) -> None:
        """Attach a program; it is detached by `detach`, `close`, or the end of this process."""
        try:
            with self.messages.heard():
                link = self._lib.bpf_program__attach(self._program(name))
            self._links[name] = check_pointer(link, f"cannot attach {name}")
        except OSError as error:
            raise self._explain(error) from error
        section = self._lib.bpf_program__section_name(self._program(name))
        if section.startswith((b"kprobe/", b"kretprobe/")):
            self._kprobes[name] = 0

    def attach_all(self, names: Iterable[str]) -> None:
        """Attach several programs, in order."""
        for name in names:
            self.attach(name)

    def attach_also(self, name: str, target: str) -> None:
        """Attach a program to another `category/event`, or function, besides its own."""
        program = self._program(name)
        category, _, event = target.partition("/")
        try:
            with self.messages.heard():
                if event:
                    link = self._lib.bpf_program__attach_tracepoint(
                        program, category.encode(), event.encode()
                    )
                else:
                    section = self._lib.bpf_program__section_name(program)
                    at_end = section.startswith(b"kretprobe/")
                    link = self._lib.bpf_program__attach_kprobe(program, at_end, target.encode())
            self._links[f"{name} {target}"] = check_pointer(link, f"cannot attach {name}")
        except OSError as error:
            raise self._explain(error) from error

    def open_iterator(self, name: str) -> int:
        """File descriptor of one pass of an iterator program: read it to its end, close it."""
        with self._one_attaches:  # each network namespace may have a thread of its own
            link = self._links.get(name)
            if link is None:
                attached = self._lib.bpf_program__attach_iter(self._program(name), None)
                link = self._links[name] = check_pointer(attached, f"cannot attach {name}")
        descriptor = self._lib.bpf_iter_create(self._lib.bpf_link__fd(link))
        return check(descriptor, f"cannot start {name}")

    def begin_detach(self, only: Iterable[str] | None = None) -> None:
        """Start to take programs off their hooks, all or `only` these.

        `detach` waits for the end of that.
        """
        wanted = None if only is None else set(only)
        names = [n for n in self._links if wanted is None or n.split()[0] in wanted]
        with self._while_attached:
            for name in self._kprobes.keys() & set(names):
                self._kprobes[name] = missed_by_kprobe(self._links[name])
            links = [self._links.pop(name) for name in names]
        # each waits for the kernel to have left the program: together, not one after the other
        destroy = self._lib.bpf_link__destroy
        workers = [threading.Thread(target=destroy, args=(link,)) for link in links]
        for worker in workers:
            worker.start()
        self._detaching += workers

    def detach(self) -> None:
        """Take every program off its hook; maps stay readable."""
        self.begin_detach()
        while self._detaching:
            self._detaching.pop().join()

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = 0
