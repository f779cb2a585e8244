"""Compile and load through BCC: a program of its own, for the Python that Debian's BCC is made for.

    python3 -I bcc_compile.py SOCKET < REQUEST

So LLVM's memory goes with it, its complaints can be read, and whatever Python the tracer runs under
does not matter. REQUEST is JSON: `text`, the C source, `maps`, and `programs`, names with their
kinds. The descriptors of what was loaded go through SOCKET in the same order, programs last; a line
`loaded` on stdout says that all are there, `failed NAME: WHY` that one was refused.

Nothing of the tracer is imported here: it may be written for a newer Python.
"""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

AT_ONCE = 200  # descriptors in a message: the kernel takes 253 (SCM_MAX_FD)
NO_BCC, NOT_BCC, NOT_COMPILED = 3, 4, 5  # exit status


def _import_bcc() -> Any:
    """BCC's Python side. PyPI has a package of the same name that is something else."""
    try:
        import bcc
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(NO_BCC)
    if not hasattr(bcc, "BPF"):
        print(getattr(bcc, "__file__", "bcc"), file=sys.stderr)
        sys.exit(NOT_BCC)
    return bcc


def main() -> None:
    """Do what the request asks for."""
    bcc = _import_bcc()
    from bcc.libbcc import lib

    request = json.load(sys.stdin)
    kinds = {"raw_tp": bcc.BPF.RAW_TRACEPOINT, "tracepoint": bcc.BPF.TRACEPOINT}
    kinds |= dict.fromkeys(("kprobe", "kretprobe"), bcc.BPF.KPROBE)
    try:
        bpf = bcc.BPF(text=request["text"], cflags=["-w"])
    except Exception as error:  # the message was on stderr, of whatever class this is
        print(error, file=sys.stderr)
        sys.exit(NOT_COMPILED)
    descriptors = [lib.bpf_table_fd(bpf.module, name.encode()) for name in request["maps"]]
    for name, kind in request["programs"].items():
        try:
            descriptors.append(bpf.load_func(name, kinds[kind]).fd)
        except Exception as error:
            print(f"failed {name}: {error}", flush=True)
            return
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        for i in range(0, len(descriptors), AT_ONCE):
            socket.send_fds(channel, [b"."], descriptors[i : i + AT_ONCE])
    print("loaded", flush=True)


if __name__ == "__main__":
    main()
