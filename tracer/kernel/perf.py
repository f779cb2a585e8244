"""Perf buffers, one per CPU, opened with a watermark and read as mapped pages.

The kernel writes records of one size; nothing wakes the reader for each. `drain` copies what has
come as runs of whole samples and gives the room back; it never looks at single records.
Format: include/uapi/linux/perf_event.h, struct perf_event_mmap_page.
"""

from __future__ import annotations

import ctypes as C
import errno
import mmap
import os
import platform
from pathlib import Path

import numpy as np

from tracer.errors import NotPermittedError, TracerError
from tracer.kernel import maps
from tracer.kernel.buffers import Chunk, barrier, online_cpus
from tracer.wire.batch import Encoding

_SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_TYPE_SOFTWARE, _COUNT_SW_BPF_OUTPUT, _SAMPLE_RAW = 1, 10, 1 << 10
_TYPE_TRACEPOINT = 2
# there where CONFIG_KPROBE_EVENTS is on
KPROBES = Path("/sys/bus/event_source/devices/kprobe")
_FLAG_WATERMARK = 1 << 14
_FLAG_FD_CLOEXEC = 8
_IOC_ENABLE = 0x2400
_IOC_SET_BPF = 0x40042408
_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_HEADER = np.dtype([("type", "u4"), ("misc", "u2"), ("size", "u2")])
SAMPLE_OFFSET = 12  # perf_event_header, then the raw size


class _Attr(C.Structure):
    _fields_ = [
        ("type", C.c_uint32),
        ("size", C.c_uint32),
        ("config", C.c_uint64),
        ("sample_period", C.c_uint64),
        ("sample_type", C.c_uint64),
        ("read_format", C.c_uint64),
        ("flags", C.c_uint64),
        ("wakeup_watermark", C.c_uint32),
        ("bp_type", C.c_uint32),
        ("config1", C.c_uint64),
        ("config2", C.c_uint64),
    ]


def sample_size(record: int) -> int:
    """Bytes that a record of this size takes in the buffer."""
    return (SAMPLE_OFFSET + record + 7) // 8 * 8


class PerfBuffer:
    """One CPU's buffer of `pages` pages (a power of two) for records of `record` bytes."""

    def __init__(self, cpu: int, map_fd: int, pages: int, record: int) -> None:
        self.cpu = cpu
        self._stride = sample_size(record)
        self._size = pages * mmap.PAGESIZE
        self.fd = _open(cpu, self._size // 2)
        try:
            self._map = mmap.mmap(
                self.fd,
                mmap.PAGESIZE + self._size,
                mmap.MAP_SHARED,
                mmap.PROT_READ | mmap.PROT_WRITE,
            )
        except OSError:
            os.close(self.fd)
            raise
        self._positions = np.frombuffer(self._map, np.uint64, 2, 1024)  # data_head, data_tail
        self._data = np.frombuffer(self._map, np.uint8, self._size, mmap.PAGESIZE)
        maps.put(map_fd, np.array([cpu], np.uint32), np.array([self.fd], np.uint32))
        if C.CDLL(None, use_errno=True).ioctl(self.fd, _IOC_ENABLE, 0) < 0:
            raise OSError(C.get_errno(), "PERF_EVENT_IOC_ENABLE")

    def drain(self) -> list[Chunk]:
        """Copy out what has come: arrays of whole samples, oldest first."""
        head, tail = int(self._positions[0]), int(self._positions[1])
        length = head - tail
        if not length:
            return []
        barrier()
        begin = tail % self._size
        if begin + length <= self._size:
            copied = self._data[begin : begin + length].copy()
        else:
            rest = begin + length - self._size
            copied = np.concatenate((self._data[begin:], self._data[:rest]))
        barrier()
        self._positions[1] = head
        return _split(copied, self._stride)

    def close(self) -> None:
        """Unmap and close."""
        del self._positions, self._data
        self._map.close()
        os.close(self.fd)


def _split(data: Chunk, stride: int) -> list[Chunk]:
    """Cut the kernel's own notes (PERF_RECORD_LOST) out of a run of samples."""
    chunks = []
    at = 0
    while at < len(data):
        whole = (len(data) - at) // stride
        kinds = data[at : at + whole * stride].reshape(whole, stride)[:, :4].copy().view(np.uint32)
        others = np.flatnonzero(kinds[:, 0] != _RECORD_SAMPLE)
        good = int(others[0]) if len(others) else whole
        if good:
            chunks.append(data[at : at + good * stride])
        at += good * stride
        if at < len(data):
            header = data[at : at + 8].view(_HEADER)[0]
            at += int(header["size"]) or len(data)
    return chunks


def _open(cpu: int, watermark: int) -> int:
    attr = _Attr(
        type=_TYPE_SOFTWARE,
        size=C.sizeof(_Attr),
        config=_COUNT_SW_BPF_OUTPUT,
        sample_period=1,
        sample_type=_SAMPLE_RAW,
        flags=_FLAG_WATERMARK,
        wakeup_watermark=watermark,
    )
    return _open_event(attr, cpu)


def _open_event(attr: _Attr, cpu: int) -> int:
    number = _SYS_PERF_EVENT_OPEN[platform.machine()]
    fd: int = C.CDLL(None, use_errno=True).syscall(
        number, C.byref(attr), -1, cpu, -1, _FLAG_FD_CLOEXEC
    )
    if fd < 0:
        raise OSError(C.get_errno(), os.strerror(C.get_errno()))
    return fd


def open_tracepoint(number: int, program: int) -> int:
    """Attach a program to the tracepoint of this number, on all CPUs, until this is closed.

    Errors: OSError.
    """
    attr = _Attr(type=_TYPE_TRACEPOINT, size=C.sizeof(_Attr), config=number, sample_period=1)
    return _attach(attr, program)


def open_kprobe(function: str, at_end: bool, program: int) -> int:
    """Attach a program to where a function begins, or ends, likewise. Errors: OSError."""
    name = C.create_string_buffer(function.encode())
    attr = _Attr(
        type=int((KPROBES / "type").read_text()),
        size=C.sizeof(_Attr),
        config=at_end << _retprobe_bit(),
        config1=C.addressof(name),
    )
    return _attach(attr, program)


def _retprobe_bit() -> int:
    """The file has `config:0`."""
    return int((KPROBES / "format/retprobe").read_text().rpartition(":")[2])


def _attach(attr: _Attr, program: int) -> int:
    fd = _open_event(attr, 0)
    for request, value in ((_IOC_SET_BPF, program), (_IOC_ENABLE, 0)):
        if C.CDLL(None, use_errno=True).ioctl(fd, request, value) < 0:
            os.close(fd)
            raise OSError(C.get_errno(), os.strerror(C.get_errno()))
    return fd


class PerfBuffers:
    """A buffer on every CPU that runs. `pages` halves where the kernel allows no more."""

    def __init__(self, map_fd: int, pages: int, record: int) -> None:
        self.pages = pages
        self.encoding = Encoding(SAMPLE_OFFSET, sample_size(record))
        self._map_fd, self._record = map_fd, record
        self._buffers: dict[int, PerfBuffer] = {}
        while not self._open_all():
            self.close()
            self.pages //= 2

    def _open_all(self) -> bool:
        """Open a buffer for each CPU, all of one size; False if that is more than is allowed.

        Errors: NotPermittedError, TracerError.
        """
        try:
            self.add_cpus()
        except OSError as error:
            if error.errno in (errno.EPERM, errno.ENOMEM) and self.pages > 1:
                return False
            if error.errno in (errno.EPERM, errno.EACCES):
                raise NotPermittedError(
                    f"perf buffers: {error.strerror}", "CAP_PERFMON or CAP_IPC_LOCK is needed"
                ) from error
            raise TracerError(f"perf buffers: {error.strerror}") from error
        return True

    def add_cpus(self) -> None:
        """Open buffers for CPUs that have come. Errors: OSError."""
        for cpu in online_cpus():
            if cpu not in self._buffers:
                self._buffers[cpu] = PerfBuffer(cpu, self._map_fd, self.pages, self._record)

    @property
    def fds(self) -> list[int]:
        """Descriptors to poll: readable when a buffer is half full."""
        return [buffer.fd for buffer in self._buffers.values()]

    def drain(self) -> list[Chunk]:
        """All that has come, CPU after CPU, each CPU's oldest first."""
        return [chunk for buffer in self._buffers.values() for chunk in buffer.drain()]

    def close(self) -> None:
        """Close every buffer."""
        while self._buffers:
            self._buffers.popitem()[1].close()
