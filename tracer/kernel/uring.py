"""In what form the running kernel's tracepoint io_uring_complete tells of an answer."""

from __future__ import annotations

from tracer.kernel import kernel_btf

UNKNOWN, WHOLE, PARTS = 0, 1, 2  # bpf/compat.h: enum tt_uring_form


def form() -> int:
    """WHOLE or PARTS; UNKNOWN where there is none that we can read.

    Its arguments are (ring, request, answer) since the Linux commit "io_uring: clean up cqe trace
    points" (in v6.13); before, from v5.19 on, (ring, request, user_data, result, flags, and more);
    earlier ones do not tell the request.
    """
    count = kernel_btf.told_by("io_uring_complete")
    if count == 3:
        return WHOLE
    return PARTS if count >= 5 else UNKNOWN
