"""Run the state probe under BCC: bcc_run.py SOURCE. For Debian's python3, which has BCC.

Says `ready` once all is attached. When its stdin ends it prints what was sent, each record in
hexadecimal on a line of its own, and fails if one was lost.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from bcc import BPF
from bcc.libbcc import lib

# in this order: the second of each takes up what the first is skipped for
PROGRAMS = {
    "tt_state": b"inet_sock_set_state",
    "tt_state_nested": b"inet_sock_set_state",
    "tt_destroy": b"tcp_destroy_sock",
}
PAGES = 256


def main() -> None:
    """Compile, load, attach; then hand on what comes."""
    found: list[str] = []
    lost: list[int] = []
    bpf = BPF(text=Path(sys.argv[1]).read_text(), cflags=["-w"])
    bpf["tt_small"].open_perf_buffer(
        lambda cpu, data, size: found.append(ctypes.string_at(data, size).hex()),
        page_cnt=PAGES,
        lost_cb=lost.append,
    )
    for name, tracepoint in PROGRAMS.items():
        program = bpf.load_func(name, BPF.RAW_TRACEPOINT)
        if lib.bpf_attach_raw_tracepoint(program.fd, tracepoint) < 0:
            sys.exit(f"{name} cannot be attached")
    print("ready", flush=True)
    sys.stdin.read()
    bpf.perf_buffer_poll(timeout=0)
    print("\n".join(found), flush=True)
    sys.exit(f"{sum(lost)} lost" if lost else 0)


main()
