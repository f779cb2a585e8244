"""How a session is to trace: attach points, transport, buffers, room for sockets."""

from __future__ import annotations

from typing import Any

from tracer.cli import values
from tracer.errors import UsageError
from tracer.kernel.preflight import BTF
from tracer.kernel.settings import Settings

ATTACH = ("auto", "fexit", "raw", "kprobe", "tracepoint")
BACKENDS = ("auto", "core", "bcc")
TRANSPORTS = ("auto", "perf", "ring")
MOST_PAGES = 1 << 16  # 256 MiB a CPU, twice
MOST_SOCKETS = 1 << 24


def read_attach(given: dict[str, Any]) -> str:
    """How to attach what can be attached in several ways. Errors: UsageError."""
    how: str = given.get("attach") or "auto"
    if how not in ATTACH:
        raise UsageError(f"--attach {how!r} is not known", f"one of: {', '.join(ATTACH)}")
    return how


def read_backend(given: dict[str, Any]) -> bool:
    """Whether to go through BCC: if asked for, or where there is no BTF. Errors: UsageError."""
    which: str = given.get("backend") or "auto"
    if which not in BACKENDS:
        raise UsageError(f"--backend {which!r} is not known", f"one of: {', '.join(BACKENDS)}")
    return which == "bcc" or (which == "auto" and not BTF.exists())


def read_transport(given: dict[str, Any]) -> str:
    """How records come. Errors: UsageError."""
    how: str = given.get("transport") or "auto"
    if how not in TRANSPORTS:
        raise UsageError(f"--transport {how!r} is not known", f"one of: {', '.join(TRANSPORTS)}")
    return how


def read_sockets(given: dict[str, Any]) -> int:
    """How many sockets can be kept track of. Errors: UsageError."""
    text = given.get("sockets")
    return Settings.sockets if text is None else values.count(text, "--sockets", MOST_SOCKETS)


def read_pages(given: dict[str, Any]) -> int:
    """Pages of each buffer, 0: as many as there is room for. Errors: UsageError."""
    text = given.get("buffer_pages")
    if text is None:
        return 0
    pages = values.count(text, "--buffer-pages", MOST_PAGES)
    if pages & (pages - 1):
        near = 1 << pages.bit_length()
        raise UsageError(f"--buffer-pages {pages} is no power of two", f"such as {near}")
    return pages
