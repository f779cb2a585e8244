"""What the programs of bpf/probes/reset.bpf.c need, the kernel's reasons, and its counts."""

from __future__ import annotations

import numpy as np

from tracer.errors import TracerError
from tracer.kernel import kernel_btf, maps, symbols
from tracer.kernel.beside import Beside
from tracer.kernel.counts import await_programs
from tracer.kernel.loader import BpfObject
from tracer.wire.layout import Layout, Records

PREFIX = "SK_RST_REASON_"
# who calls which: what looks at the RST bit must be a function of its own to be told apart
RESETS, TAKES_DATA, LOOKS_AT_RST = "tcp_reset", "tcp_rcv_state_process", "tcp_validate_incoming"
UNTOLD = "data that comes after close() is told as a RST received, and the RST that answers it too"

Code = dict[str, list[symbols.Range]]


def reason_names() -> dict[int, str]:
    """The running kernel's enum sk_rst_reason by number; empty before Linux 6.10."""
    told = kernel_btf.enum("sk_rst_reason")
    return {value: name.removeprefix(PREFIX) for name, value in told.items()}


def find_code() -> Code:
    """Where the functions lie. Errors: TracerError where that is hidden."""
    return symbols.of_kernel((RESETS, TAKES_DATA, LOOKS_AT_RST))


def write_setup(bpf: BpfObject, layout: Layout, found: Beside[Code]) -> str:
    """After `load`, before anything is told; returns a notice where it cannot be."""
    try:
        code = found.result()
    except (TracerError, OSError) as error:
        return f"{UNTOLD} ({getattr(error, 'message', error)})"
    if not all(code.get(name) for name in (RESETS, TAKES_DATA, LOOKS_AT_RST)):
        return f"{UNTOLD} (this kernel's functions are not told apart)"
    setup = bpf.variable("tt_reset_setup", layout.dtypes["reset_setup"])
    for name, prefix in ((TAKES_DATA, "data"), (RESETS, "reset")):
        for i, (start, end) in enumerate(code[name]):
            setup[f"{prefix}_from"][0, i] = start
            setup[f"{prefix}_to"][0, i] = end
    return ""


def counts(bpf: BpfObject, layout: Layout, control: Records) -> Records:
    """What bpf/reset_counts.h has: pairs of key and value, of both maps.

    What neither had room for is a pair with nothing in its key.
    """
    await_programs()
    pair = np.dtype([(name, layout.dtypes[f"reset_{name}"]) for name in ("key", "value")])
    parts = []
    for name in ("tt_resets", "tt_resets_rest"):
        keys, values = maps.read_hash(bpf.map_fd(name), *(pair[part] for part in pair.names or ()))
        pairs = np.zeros(len(keys), pair)
        pairs["key"], pairs["value"] = keys, values
        parts.append(pairs)
    unplaced = np.zeros(1, pair)
    unplaced["value"]["resets"] = control["resets_unplaced"]
    if unplaced["value"]["resets"].any():
        parts.append(unplaced)
    return np.concatenate(parts)
