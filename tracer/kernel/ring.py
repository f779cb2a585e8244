"""BPF ring buffers, one per CPU, written without wake-ups and read as mapped pages.

A record is a header of 8 bytes, its length with a bit that says it is still being written, and the
bytes, rounded up to 8. (The kernel would map the data twice, so that what wraps around could be
read in one piece; that would count twice as our memory.)
Format: kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst; since Linux commit 457f44363a88 ("bpf:
Implement BPF ring buffer and verifier support for it") (in v5.8).
"""

from __future__ import annotations

import mmap
import os

import numpy as np

from tracer.errors import NotPermittedError, TracerError
from tracer.kernel import maps
from tracer.kernel.buffers import Chunk, barrier, online_cpus
from tracer.kernel.libbpf import BPF_MAP_TYPE_RINGBUF, check, lib
from tracer.wire.batch import Encoding

_HEADER = 8
_BUSY = np.uint32(1 << 31)


class RingBuffer:
    """One CPU's ring of `pages` pages (a power of two) for records of `record` bytes."""

    def __init__(self, pages: int, record: int) -> None:
        self._size = pages * mmap.PAGESIZE
        self._stride = sample_size(record)
        made = lib().bpf_map_create(BPF_MAP_TYPE_RINGBUF, b"tt_ring", 0, 0, self._size, None)
        self.fd = check(made, "ring buffer")
        try:
            self._consumer = mmap.mmap(self.fd, mmap.PAGESIZE)
            self._producer = mmap.mmap(
                self.fd,
                mmap.PAGESIZE + self._size,
                mmap.MAP_SHARED,
                mmap.PROT_READ,
                offset=mmap.PAGESIZE,
            )
        except OSError:
            os.close(self.fd)
            raise
        self._read = np.frombuffer(self._consumer, np.uint64, 1)
        self._written = np.frombuffer(self._producer, np.uint64, 1)
        self._data = np.frombuffer(self._producer, np.uint8, self._size, mmap.PAGESIZE)
        self._headers = self._data.view(np.uint32)

    def drain(self) -> list[Chunk]:
        """Copy out what has come, up to the first record that is still being written."""
        read, written = int(self._read[0]), int(self._written[0])
        if read == written:
            return []
        barrier()
        # a header lies in one piece, as all is a multiple of its size
        places = np.arange(read, written, self._stride) % self._size
        busy = np.flatnonzero(self._headers[places >> 2] & _BUSY)
        length = int(busy[0]) * self._stride if len(busy) else written - read
        barrier()
        begin = read % self._size
        rest = max(0, begin + length - self._size)
        copied = np.concatenate((self._data[begin : begin + length], self._data[:rest]))
        barrier()
        self._read[0] = read + length
        return [copied] if length else []

    def close(self) -> None:
        """Unmap and close."""
        del self._read, self._written, self._data, self._headers
        self._consumer.close()
        self._producer.close()
        os.close(self.fd)


def sample_size(record: int) -> int:
    """Bytes that a record of this size takes in the ring."""
    return _HEADER + (record + 7) // 8 * 8


def is_possible() -> bool:
    """Whether this kernel makes ring buffers, and for us."""
    fd = lib().bpf_map_create(BPF_MAP_TYPE_RINGBUF, b"tt_try", 0, 0, mmap.PAGESIZE, None)
    if fd >= 0:
        os.close(fd)
    return bool(fd >= 0)


class RingBuffers:
    """A ring on every CPU that runs. `connect` puts them where the programs find them."""

    def __init__(self, pages: int, record: int) -> None:
        self.pages = pages
        self.encoding = Encoding(_HEADER, sample_size(record))
        self._record = record
        self._map_fd: int | None = None
        self._rings: dict[int, RingBuffer] = {}
        try:
            self.add_cpus()
        except PermissionError as error:
            self.close()
            raise NotPermittedError(
                f"ring buffers: {error.strerror}", "see: tcptrace doctor"
            ) from error
        except OSError as error:
            self.close()
            raise TracerError(
                f"ring buffers: {error.strerror}", "smaller ones: --buffer-pages N"
            ) from error

    def add_cpus(self) -> None:
        """Make rings for CPUs that have come. Errors: OSError."""
        for cpu in online_cpus():
            if cpu not in self._rings:
                self._rings[cpu] = RingBuffer(self.pages, self._record)
                if self._map_fd is not None:
                    self._put(self._map_fd, [cpu])

    def connect(self, map_fd: int) -> None:
        """Put them, and those that will come, into the array of rings `map_fd`. Errors: OSError."""
        self._map_fd = map_fd
        self._put(map_fd, list(self._rings))

    def _put(self, map_fd: int, cpus: list[int]) -> None:
        # all in one call, each of which waits for programs that may use what was there before
        fds = [self._rings[cpu].fd for cpu in cpus]
        maps.put_all(map_fd, np.array(cpus, np.uint32), np.array(fds, np.uint32))

    @property
    def fds(self) -> list[int]:
        """Descriptors to poll. They are readable while a ring holds anything: watch for edges."""
        return [ring.fd for ring in self._rings.values()]

    def drain(self) -> list[Chunk]:
        """All that has come, CPU after CPU, each CPU's oldest first."""
        return [chunk for ring in self._rings.values() for chunk in ring.drain()]

    def close(self) -> None:
        """Close every ring."""
        while self._rings:
            self._rings.popitem()[1].close()
