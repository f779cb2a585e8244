"""A network namespace of this process's own, which ends with it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct

# include/uapi/linux/sched.h, sockios.h, if.h
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def enter_new_network() -> None:
    """Leave for a network namespace without anything but a loopback that is up. Errors: OSError.

    With a user namespace too, it needs no capability; where there may be none, CAP_SYS_ADMIN and
    CAP_NET_ADMIN. This process must have one thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) and libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))
