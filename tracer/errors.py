"""Errors that carry their advice: one line of cause, one of what to do, an exit code."""

from __future__ import annotations


class TracerError(Exception):
    """Something that ends the command; `message` says why, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TracerError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class UnsupportedError(TracerError):
    """This kernel, or this installation, cannot do it."""

    exit_code = 69


class NotPermittedError(TracerError):
    """The kernel could, but not for this caller."""

    exit_code = 77
