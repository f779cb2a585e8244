"""Capabilities that were given to this process and are not to be handed on."""

from __future__ import annotations

import ctypes

# include/uapi/linux/prctl.h
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4


def drop_ambient() -> None:
    """Keep what is executed next from inheriting capabilities. Errors: OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "ambient capabilities")
