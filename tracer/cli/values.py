"""Values on the command line: text to what it means, or one line of cause and one of what to do."""

from __future__ import annotations

import difflib
import ipaddress
import os
import pwd
import re
import shlex
import socket
from pathlib import Path

from tracer.errors import TracerError, UsageError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_NO_UID = (1 << 32) - 1
_LONGEST_NAME = 15  # TASK_COMM_LEN - 1
_MOST_NAMES = 16  # half of bpf/maps.h: TT_GLOB_WORDS * 4
_LARGEST_PID = 4194304  # PID_MAX_LIMIT, include/linux/threads.h

# include/net/tcp_states.h; ABI
STATES = {
    "ESTABLISHED": 1,
    "SYN_SENT": 2,
    "SYN_RECV": 3,
    "FIN_WAIT1": 4,
    "FIN_WAIT2": 5,
    "TIME_WAIT": 6,
    "CLOSE": 7,
    "CLOSE_WAIT": 8,
    "LAST_ACK": 9,
    "LISTEN": 10,
    "CLOSING": 11,
    "NEW_SYN_RECV": 12,
}
_SPELLINGS = {re.sub("[^A-Z0-9]", "", name): name for name in STATES} | {
    "ESTAB": "ESTABLISHED",
    "CLOSED": "CLOSE",
    "LISTENING": "LISTEN",
    "UNCONN": "CLOSE",
    "FINWAIT": "FIN_WAIT1",
    "SYNRECEIVED": "SYN_RECV",
}
KINDS = (
    *("state", "accept", "handshake", "connection", "retransmit", "reset", "error", "syn_drop"),
    "drop",
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def nearest(word: str, known: list[str]) -> str:
    """`did you mean X?` for a word that is almost one of `known`; else the list of them."""
    close = difflib.get_close_matches(word, known, 1, 0.6)
    return f"did you mean {close[0]}?" if close else "one of: " + ", ".join(known)


def duration(text: str, option: str = "") -> float:
    """`200ms`, `5m`, `30`: seconds."""
    match = re.fullmatch(r"([0-9]*\.?[0-9]+)(us|ms|s|m|h|d|)", text.strip())
    if not match or float(match[1]) == 0:
        raise UsageError(
            f"{option} {text!r} is not a time above 0".lstrip(), "give one like 30, 200ms, 5m or 2h"
        )
    return float(match[1]) * _UNITS[match[2]]


def size(text: str, option: str = "") -> int:
    """`100M`: bytes."""
    match = re.fullmatch(r"([0-9]+)([kmgt]?)b?", text.strip().lower())
    if not match or int(match[1]) == 0:
        raise UsageError(f"{option} {text!r} is not a size".lstrip(), "give one like 500M or 2G")
    return int(match[1]) * _SIZES[match[2]]


def count(text: str, option: str = "", most: int | None = None) -> int:
    """A whole number above 0, at most `most`."""
    if not text.isdecimal() or int(text) == 0:
        raise UsageError(f"{option} {text!r} is not a number above 0".lstrip(), "give one like 100")
    if most is not None and int(text) > most:
        raise UsageError(f"{option} {text} is too many".lstrip(), f"at most {most}")
    return int(text)


def limit(text: str) -> int:
    """A number of rows; 0: all."""
    return 0 if text == "0" else count(text, "--limit")


def columns(text: str) -> tuple[str, ...]:
    """`PID,ESTAB`: columns in the order given."""
    found = tuple(split((text,)))
    if "" in found:
        raise UsageError("--columns holds an empty name", "give them like --columns PID,PROCESS")
    for name in found:
        if found.count(name) > 1:
            raise UsageError(f"--columns names {name!r} twice", "give each once")
    return found


def keys(texts: tuple[str, ...], known: tuple[str, ...]) -> tuple[tuple[str, ...], int | None]:
    """`comm,peer/24`: the words of --by in their order, and how many bits of a peer are one."""
    found: dict[str, None] = {}
    bits = None
    for part in split(texts):
        word, slash, length = part.partition("/")
        if word not in known or (slash and word != "peer"):
            words = [*known, *(["peer/N"] if "peer" in known else [])]
            raise UsageError(f"--by {part!r} is no key here", nearest(part, words))
        if slash:
            if not length.isdecimal() or not 0 < int(length) <= 128:
                raise UsageError(f"--by {part!r} is no network", "give one like peer/24")
            bits = int(length)
        found[word] = None
    return tuple(found), bits


def split(texts: tuple[str, ...]) -> list[str]:
    """The values of comma lists, given once or several times."""
    return [part.strip() for text in texts for part in text.split(",")]


def comms(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Patterns for names of processes."""
    from tracer.wire.globs import Glob

    found = tuple(dict.fromkeys(split(texts)))
    for text in found:
        if not text:
            raise UsageError("--comm '' is no name", "give one like nginx or 'worker-*'")
        try:
            Glob.parse(text)
        except ValueError:
            raise UsageError(
                f"--comm {text!r} is longer than any process's name, which has {_LONGEST_NAME}"
                " bytes",
                f"--comm {shlex.quote(text[: _LONGEST_NAME - 1] + '*')}",
            ) from None
    if len(found) > _MOST_NAMES:
        raise UsageError(f"--comm takes at most {_MOST_NAMES}", "use patterns: 'worker-*'")
    return found


def cgroups(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Control groups; whether they are there is found out where they are looked for."""
    from tracer.attribution.cgroups import find_mount, inside

    mount = find_mount() if texts else None
    found = tuple(dict.fromkeys(inside(text, mount) for text in split(texts)))
    if "" in found:
        raise UsageError("--cgroup '' is no control group", "give one like nginx.service")
    return found


def uids(texts: tuple[str, ...]) -> frozenset[int]:
    """Users by number or name."""
    return frozenset(_uid(part) for part in split(texts))


def _uid(part: str) -> int:
    if part.isdecimal():
        if int(part) >= _NO_UID:
            raise UsageError(f"--uid {part} is no uid", f"uids are 0 to {_NO_UID - 1}")
        return int(part)
    try:
        return pwd.getpwnam(part).pw_uid
    except (KeyError, ValueError):
        raise UsageError(
            f"--uid: no user is called {part!r}", "give a number, or see: getent passwd"
        ) from None


def family(texts: tuple[str, ...]) -> int:
    """4 or 6; 0 for none."""
    parts = set(split(texts))
    if not parts <= {"4", "6"}:
        raise UsageError(f"family {min(parts - {'4', '6'})!r} is not known", "one of: 4, 6")
    if len(parts) > 1:
        raise UsageError("families 4 and 6 together leave nothing", "give one of them, or neither")
    return int(parts.pop()) if parts else 0


def pids(texts: tuple[str, ...]) -> tuple[int, ...]:
    """`1,2,3` and repetition."""
    found = []
    for part in split(texts):
        if not part.isdecimal():
            words = part.split()
            if len(words) > 1 and all(word.isdecimal() for word in words):
                raise UsageError(f"--pid {part!r} holds a space", f"--pid {','.join(words)}")
            if re.fullmatch(r"[\w.@:+-]*[A-Za-z][\w.@:+-]*", part):
                raise UsageError(
                    f"--pid takes numbers, and {part!r} is a name",
                    f"its processes by name: --comm {part[:_LONGEST_NAME]}",
                )
            raise UsageError(f"--pid takes numbers, not {part!r}", "such as --pid 1234,5678")
        if not 0 < int(part) <= _LARGEST_PID:
            raise UsageError(f"--pid {part} is no PID", f"PIDs are 1 to {_LARGEST_PID}")
        found.append(int(part))
    return tuple(found)


def ports(texts: tuple[str, ...], option: str) -> tuple[tuple[int, int], ...]:
    """`80`, `8000-8010`, `https`, in comma lists: ranges, both ends included."""
    return tuple(_port_range(part, option) for part in split(texts))


def _port_range(part: str, option: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last <= 65535:
            raise UsageError(f"{option} {part} is no port", "ports are 1 to 65535, ranges rise")
        return first, last
    try:
        number = socket.getservbyname(part, "tcp")
    except OSError:
        raise UsageError(
            f"{option}: no TCP service is called {part!r}", "give a number, or see /etc/services"
        ) from None
    return number, number


def networks(texts: tuple[str, ...], option: str) -> tuple[Network, ...]:
    """Addresses and CIDR blocks; an IPv4 one in IPv6's clothes is taken as IPv4."""
    found = []
    for part in split(texts):
        try:
            network: Network = ipaddress.ip_network(part.strip("[]"), strict=False)
        except ValueError:
            raise UsageError(
                f"{option} {part!r} is no address",
                "give one like 10.0.0.7, 10.0.0.0/8 or fe80::/10",
            ) from None
        if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
            v4 = network.network_address.ipv4_mapped
            if v4 is not None:
                network = ipaddress.IPv4Network((int(v4), network.prefixlen - 96))
        found.append(network)
    return tuple(found)


def states(texts: tuple[str, ...]) -> frozenset[int]:
    """States in any spelling: `CLOSE_WAIT`, `close-wait`, `TCP_CLOSE_WAIT`."""
    found = set()
    for part in split(texts):
        word = re.sub("[^A-Z0-9]", "", part.upper().removeprefix("TCP"))
        if word not in _SPELLINGS:
            known = [name.lower().replace("_", "-") for name in STATES]
            raise UsageError(f"--state {part!r} is no TCP state", nearest(part.lower(), known))
        found.add(STATES[_SPELLINGS[word]])
    return frozenset(found)


def kinds(texts: tuple[str, ...]) -> frozenset[str]:
    """Kinds of records; `all` is every one."""
    found: set[str] = set()
    for part in split(texts):
        if part == "all":
            found.update(KINDS)
        elif part in KINDS:
            found.add(part)
        else:
            raise UsageError(
                f"--kind {part!r} is no kind of record", nearest(part, [*KINDS, "all"])
            )
    return frozenset(found)


def netns(texts: tuple[str, ...], proc: Path = Path("/proc")) -> frozenset[int]:
    """`all`, `self`, a PID, a name of `ip netns`, a path or an inode: inodes, empty for all."""
    found: set[int] = set()
    for part in split(texts):
        if part == "all":
            return frozenset()
        found.add(_one_netns(part, proc))
    return frozenset(found)


def _one_netns(part: str, proc: Path) -> int:
    if part.isdecimal() and int(part) > _LARGEST_PID:
        return int(part)
    if part == "self" or part.isdecimal():
        path = proc / part / "ns/net"
        what = f"no process has the PID {part}"
    elif "/" in part:
        path, what = Path(part), f"{part} is no network namespace"
    else:
        path, what = Path("/run/netns") / part, f"no network namespace is called {part!r}"
    try:
        found = os.stat(path)
        if found.st_dev != os.stat("/proc/self/ns/net").st_dev:
            raise FileNotFoundError
        return found.st_ino
    except FileNotFoundError:
        raise TracerError(f"--netns: {what}", "see: ip netns list; lsns -t net") from None
    except OSError as error:
        raise TracerError(f"--netns {part}: {error.strerror}", "see: lsns -t net") from None
