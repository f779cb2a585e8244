"""What lies in a buffer is copied out as it lies, and not a record at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tracer.kernel import perf, ring
from tracer.kernel.buffers import Chunk
from tracer.kernel.perf import PerfBuffer
from tracer.kernel.ring import RingBuffer

RECORD = 96  # bytes, of struct tt_state
SAMPLE, LOST = 9, 2  # PERF_RECORD_SAMPLE, PERF_RECORD_LOST
NOTE = 24  # bytes of a note that samples were lost

Drain = Callable[[], list[Chunk]]


def numbered(count: int, stride: int, head: int) -> Chunk:
    """Samples that differ: each has its number behind its header."""
    samples = np.zeros((count, stride), np.uint8)
    numbers = np.arange(count, dtype=np.uint64).view(np.uint8).reshape(count, 8)
    samples[:, head : head + 8] = numbers
    return samples


def laid_out(content: Chunk) -> tuple[Chunk, int]:
    """A buffer that holds it, from near its end on around to its begin; and where it begins."""
    size = 1 << len(content).bit_length()
    begin = size - len(content) // 3 // 8 * 8
    data = np.zeros(size, np.uint8)
    data[(begin + np.arange(len(content))) % size] = content
    return data, begin


def a_ring(count: int) -> tuple[Chunk, Drain]:
    """Samples, and the reading of a ring that holds them."""
    made = RingBuffer.__new__(RingBuffer)
    made._stride = ring.sample_size(RECORD)
    samples = numbered(count, made._stride, 8)
    samples[:, :4] = np.array([RECORD], np.uint32).view(np.uint8)
    made._data, begin = laid_out(samples.ravel())
    made._size, made._headers = len(made._data), made._data.view(np.uint32)
    made._read = np.array([begin], np.uint64)
    made._written = np.array([begin + samples.size], np.uint64)
    return samples.ravel(), made.drain


def a_perf_buffer(count: int) -> tuple[Chunk, Drain]:
    """The same of a perf buffer, with the kernel's note of a loss half way."""
    made = PerfBuffer.__new__(PerfBuffer)
    made._stride = perf.sample_size(RECORD)
    samples = numbered(count, made._stride, perf.SAMPLE_OFFSET)
    samples[:, :4] = np.array([SAMPLE], np.uint32).view(np.uint8)
    note = np.zeros(NOTE, np.uint8)
    note[:8].view(np.uint32)[:] = LOST, NOTE << 16
    half = count // 2
    content = np.concatenate((samples[:half].ravel(), note, samples[half:].ravel()))
    made._data, begin = laid_out(content)
    made._size = len(made._data)
    made._positions = np.array([begin, begin], np.uint64) + np.array([len(content), 0], np.uint64)
    return samples.ravel(), made.drain


BUFFERS = pytest.mark.parametrize("made", [a_ring, a_perf_buffer])


@BUFFERS
@pytest.mark.parametrize("count", [1, 2, 3, 997])
def test_what_wraps_around_comes_out_whole_in_its_order_and_once(
    made: Callable[[int], tuple[Chunk, Drain]], count: int
) -> None:
    wanted, drain = made(count)
    assert np.concatenate(drain()).tolist() == wanted.tolist()
    assert drain() == []


def calls(made: Callable[[int], tuple[Chunk, Drain]], count: int) -> int:
    """Python calls, of C functions too, while so many records are taken out."""
    wanted, drain = made(count)
    found = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        chunks = drain()
    finally:
        sys.setprofile(None)
    assert sum(len(chunk) for chunk in chunks) == len(wanted)
    return found


@BUFFERS
def test_ten_times_the_records_take_no_more_python_calls_to_read(
    made: Callable[[int], tuple[Chunk, Drain]],
) -> None:
    few, many = calls(made, 10_000), calls(made, 100_000)
    assert few > 5
    assert many == pytest.approx(few, rel=0.01)


def test_a_record_that_is_still_being_written_waits_with_all_behind_it() -> None:
    wanted, drain = a_ring(10)
    ring_ = drain.__self__  # type: ignore[attr-defined]
    stride = ring_._stride
    at = (int(ring_._read[0]) + 6 * stride) % ring_._size >> 2
    ring_._headers[at] |= 1 << 31
    assert np.concatenate(drain()).tolist() == wanted[: 6 * stride].tolist()
    assert drain() == []
    ring_._headers[at] &= (1 << 31) - 1
    assert np.concatenate(drain()).tolist() == wanted[6 * stride :].tolist()
