"""Whether a network namespace has any TCP socket, by its own count of them.

`inuse` are those in its tables, whoever has them; `tw` those in TIME_WAIT (net/ipv4/proc.c,
net/ipv6/proc.c). Half-open connections have a listener beside them.
"""

from __future__ import annotations

from pathlib import Path

_NET = Path("/proc/thread-self/net")
_READINGS = 2  # CPUs count each for themselves: a sum may miss one that moves meanwhile


def may_have_any() -> bool:
    """Of the namespace that this thread is in; what cannot be read may have some."""
    try:
        return any(_count() for _ in range(_READINGS))
    except (OSError, ValueError, IndexError):
        return True


def _count() -> int:
    words = (_NET / "sockstat").read_text().partition("\nTCP:")[2].split()
    found = int(words[words.index("inuse") + 1]) + int(words[words.index("tw") + 1])
    six = _NET / "sockstat6"
    if six.exists():  # there may be no IPv6
        words = six.read_text().partition("TCP6:")[2].split()
        found += int(words[words.index("inuse") + 1])
    return found
