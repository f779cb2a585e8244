"""Who asked for this run: the user behind sudo, and the environment as it was given."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import TracerError

_MOST = 2**32 - 2  # (uid_t)-1 means "leave as it is"


@dataclass(frozen=True)
class Identity:
    """A user, the groups it has, and what its environment says of it."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    environment: dict[bytes, bytes]

    def assume(self) -> None:
        """Become this user, for good. Errors: OSError."""
        os.setgroups(self.groups)
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)


def invoker() -> Identity | None:
    """The user behind sudo; None where there is none, or root. Errors: TracerError."""
    if os.geteuid() != 0 or "SUDO_UID" not in os.environ:
        return None
    uid = _number("SUDO_UID")
    if uid == 0:
        return None
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        # without a name there are no groups but its own, and no home
        return Identity(uid, gid := _number("SUDO_GID"), (gid,), {b"HOME": b"/"})
    gid = _number("SUDO_GID") if "SUDO_GID" in os.environ else user.pw_gid
    name = os.fsencode(user.pw_name)
    environment = {
        b"HOME": os.fsencode(user.pw_dir),
        b"LOGNAME": name,
        b"SHELL": os.fsencode(user.pw_shell or "/bin/sh"),
        b"USER": name,
    }
    return Identity(uid, gid, tuple(os.getgrouplist(user.pw_name, gid)), environment)


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST):
        raise TracerError(
            f"{name} is {text!r}, which is no number: whom to run a program as is not known",
            f"use sudo itself, or leave it out: env -u {name} ...",
        )
    return int(text)


def given_environment() -> dict[bytes, bytes]:
    """The environment this process was started with: Python and we have added to it since."""
    try:
        text = Path("/proc/self/environ").read_bytes()
    except OSError:
        return dict(os.environb)
    pairs = (entry.partition(b"=") for entry in text.split(b"\0"))
    return {name: value for name, equals, value in pairs if equals and name}
