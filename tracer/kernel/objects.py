"""Which of the two built objects this kernel takes: one is for kernels before v5.12.

Both are of the same sources. An older kernel refuses programs with instructions that it does not
know wherever they stand, so these cannot be left out as helpers are (bpf/old.h).
"""

from __future__ import annotations

from pathlib import Path

from tracer.errors import TracerError
from tracer.kernel.features import has_exchanges
from tracer.wire.btf import beside

FOLDER = Path(__file__).resolve().parent.parent / "_bpf"
OBJECT = FOLDER / "tcptrace.bpf.o"
OLD = FOLDER / "tcptrace-old.bpf.o"


def find(by_bcc: bool = False) -> Path:
    """The one to open; through BCC for its types alone. Errors: TracerError: it was not built."""
    path = OBJECT if by_bcc or has_exchanges() else OLD
    for needed in (path, beside(path)):
        if not needed.exists():
            raise TracerError(f"{needed} is missing", "build it: make setup")
    return path
