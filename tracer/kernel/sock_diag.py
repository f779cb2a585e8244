"""TCP sockets of a network namespace as `ss` asks for them: by sock_diag, no program, no BTF.

The kernel gives each socket that it tells of a cookie, if it has none yet.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator

import numpy as np

from tracer.wire.layout import Records

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ALL_STATES = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBBI48x")  # struct inet_diag_req_v2
_CHUNK = 1 << 18
UNTOLD = (
    "what is older than the tracer is not known, and has no owner: the kernel has no tcp_diag"
    " (modprobe tcp_diag)"
)
# struct inet_diag_msg, without its attributes
ROW = np.dtype(
    [
        *((name, "u1") for name in ("family", "state", "timer", "retransmits")),
        *((name, ">u2") for name in ("lport", "rport")),
        *((name, "u1", (16,)) for name in ("laddr", "raddr")),
        ("device", "u4"),
        ("cookie", "u8"),
        *((name, "u4") for name in ("expires", "rqueue", "wqueue", "uid", "inode")),
    ]
)
_V4MAPPED = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)


def dump(tell: Callable[[str], None]) -> Records:
    """All TCP sockets of the network namespace of this thread. Errors: OSError.

    `tell` is told where the kernel tells of none.

    `family` is that of the packets, an address of IPv4 is as it is mapped into IPv6; `inode` is 0
    where there is no file.
    """
    parts = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as channel:
        for family in (socket.AF_INET, socket.AF_INET6):
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
            header = _HEADER.pack(
                _HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0
            )
            channel.send(header + body)
            try:
                parts += list(_answers(channel))
            except FileNotFoundError:
                if family == socket.AF_INET:
                    tell(UNTOLD)
                # else the kernel has no IPv6
    rows = np.frombuffer(b"".join(parts), ROW).copy()
    of_v4 = rows["family"] == socket.AF_INET
    for name in ("laddr", "raddr"):
        address = rows[name]
        address[of_v4, 12:] = address[of_v4, :4]
        address[of_v4, :12] = _V4MAPPED
    # a socket of IPv6 may carry IPv4
    mapped = (rows["raddr"][:, :12] == _V4MAPPED).all(axis=1)
    rows["family"] = np.where(mapped, 4, 6)
    return rows


def _answers(channel: socket.socket) -> Iterator[bytes]:
    """Sockets. Errors: OSError, FileNotFoundError where nobody is there to answer."""
    while True:
        data = channel.recv(_CHUNK)
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, at)
            begin = at + _HEADER.size
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                # without inet_diag it is an error, with it and without tcp_diag an end
                number = -struct.unpack_from("=i", data, begin)[0]
                if number:
                    raise OSError(number, f"sock_diag: {os.strerror(number)}")
                return
            yield data[begin : begin + ROW.itemsize]
            at += (length + 3) & ~3
