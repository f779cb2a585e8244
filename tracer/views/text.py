"""How single things are written: hostile names, durations, addresses, moments."""

from __future__ import annotations

import datetime
import ipaddress
from functools import lru_cache

_MAPPED = b"\0" * 10 + b"\xff\xff"


def escape(name: str) -> str:
    """Make a name that a process or a peer chose safe to show: no control characters.

    Anything that is not printable becomes `\\xNN` or `\\uNNNN`, a backslash is doubled.
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(_escape_one(char) for char in name)


def _escape_one(char: str) -> str:
    if char == "\\":
        return "\\\\"
    if char.isprintable():
        return char
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def duration(ns: float) -> str:
    """Three digits and a unit: 940ns, 41.2us, 1.12ms, 31.2s, 126s, 2.41h, 3.02d."""
    for limit, unit, text in _UNITS:
        if ns < limit:
            return _three(ns / unit) + text
    return _three(ns / 86400e9) + "d"


_UNITS = (
    (999.5, 1, "ns"),
    (999.5e3, 1e3, "us"),
    (999.5e6, 1e6, "ms"),
    (999.5e9, 1e9, "s"),
    (999.5 * 60e9, 60e9, "m"),
    (99.95 * 3600e9, 3600e9, "h"),
)


def _three(value: float) -> str:
    if value >= 99.95 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def quantity(count: float) -> str:
    """Bytes in three digits and a power of 1000: 940, 41.2k, 1.12M; `-` for NaN."""
    if count != count:
        return "-"
    for limit, unit, text in ((999.5, 1, ""), (999.5e3, 1e3, "k"), (999.5e6, 1e6, "M")):
        if count < limit:
            return _three(count / unit if unit > 1 else round(count)) + text
    return _three(count / 1e9) + "G"


@lru_cache(maxsize=65536)
def address(packed: bytes) -> str:
    """An address as the wire has it (16 bytes, IPv4 mapped) as people write it."""
    if packed.startswith(_MAPPED):
        return ".".join(map(str, packed[12:]))
    return str(ipaddress.IPv6Address(packed))


@lru_cache(maxsize=65536)
def endpoint(host: str, port: int | str | None) -> str:
    """`10.0.0.1:80`, `[::1]:80`; `*` for a port not known yet."""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port or '*'}"


TICK_NS = 10_000_000  # the longest tick that the kernel is built with: HZ 100


class Clock:
    """CLOCK_MONOTONIC to wall time, by the offset taken when the session began."""

    def __init__(self, offset_ns: int, utc: bool = False) -> None:
        self.offset_ns = offset_ns
        self._zone = datetime.UTC if utc else None
        self._second = -1
        self._local = self._stamp = ""

    def _turn(self, second: int) -> None:
        self._second = second
        moment = datetime.datetime.fromtimestamp(second, datetime.UTC)
        self._stamp = moment.strftime("%Y-%m-%dT%H:%M:%S")
        self._local = moment.astimezone(self._zone).strftime("%H:%M:%S")

    def iso(self, mono_ns: int) -> str:
        """UTC, RFC 3339, six digits."""
        second, rest = divmod(mono_ns + self.offset_ns, 1_000_000_000)
        if second != self._second:
            self._turn(second)
        return f"{self._stamp}.{rest // 1000:06d}Z"

    def iso_in_ticks(self, mono_ns: int) -> str:
        """The same of a moment that is known to a tick of the kernel's: to 10 ms."""
        wall_ns = mono_ns + self.offset_ns
        return self.iso(round(wall_ns / TICK_NS) * TICK_NS - self.offset_ns)

    def time(self, mono_ns: int) -> str:
        """Time of day in the chosen zone, six digits."""
        second, rest = divmod(mono_ns + self.offset_ns, 1_000_000_000)
        if second != self._second:
            self._turn(second)
        return f"{self._local}.{rest // 1000:06d}"

    def date(self, mono_ns: int) -> str:
        """Date, time to the second and zone."""
        moment = datetime.datetime.fromtimestamp((mono_ns + self.offset_ns) // 10**9, datetime.UTC)
        return moment.astimezone(self._zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def per_second(rate: float | None) -> str:
    """In whole numbers; what happens less often than that is not shown as nothing."""
    if rate is None:
        return "-"
    return "<1" if 0 < rate < 1 else f"{rate:.0f}"
