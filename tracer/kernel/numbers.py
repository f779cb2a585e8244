"""Listeners by the number that stands for their cookie in the programs (bpf/numbers.h).

One that begins to listen while it is traced has no cookie, and gets a number; as sock_diag looks at
it, it gets a cookie, which the programs do not know. Both tell where it listens.
"""

from __future__ import annotations

import numpy as np

from tracer.wire.layout import Records

FIRST = np.uint64(1 << 63)  # bpf/numbers.h: TT_OURS


def use_numbers(sockets: Records, netns: int, cookies: Records, listeners: Records) -> None:
    """Put numbers in place of the cookies of `sockets`, which listen in this namespace.

    `cookies` and `listeners` are the programs' map. Of several at one place nobody knows which is
    which: those keep their cookies.
    """
    ours = (cookies["cookie"] >= FIRST) & (listeners["netns"] == netns)
    numbers, places = cookies["cookie"][ours], listeners[ours]
    unknown = np.flatnonzero(~np.isin(sockets["cookie"], cookies["cookie"]))
    strangers = sockets[unknown]
    for i in unknown:
        port, address = sockets["lport"][i], sockets["laddr"][i]
        twins = (strangers["lport"] == port) & (strangers["laddr"] == address).all(axis=1)
        there = (places["port"] == port) & (places["addr"] == address).all(axis=1)
        if twins.sum() == there.sum() == 1:
            sockets["cookie"][i] = numbers[there][0]
