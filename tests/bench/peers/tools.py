"""What is compared: how each tool is started, what a line of its output says, what it says it lost.

Every tool prints as it comes: nothing is turned off that it does by default. What reads no kernel
structure needs no matching headers: BCC's tcpstates takes its fields from the tracepoint's format.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.traced import COMMAND, RECORDING

# of every connection: five transitions of each end; of its listener: two
OF_CONNECTION, OF_LISTENER = 10, 2


@dataclass(frozen=True)
class Line:
    """What one line of output says of a socket; ports are 0 where it says none."""

    pid: int
    lport: int
    rport: int


@dataclass(frozen=True)
class Tool:
    """A program to compare. `line` has groups pid, lport, rport; or count, of a sum of events."""

    name: str
    command: list[str]
    line: re.Pattern[str]
    lost: re.Pattern[str]
    package: str = ""  # Debian's; ours has none
    of_connection: int = OF_CONNECTION
    of_listener: int = OF_LISTENER
    live: bool = True  # it shows what it has, and does not only keep it
    drops: tuple[str, ...] = ()  # the command that tells of dropped SYNs, if not this one
    needs_headers: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is a tcptrace of this tree."""
        return not self.package

    @property
    def sums(self) -> bool:
        """Whether it counts in the kernel, and shows sums at its end."""
        return "count" in self.line.groupindex

    @property
    def shows(self) -> bool:
        """Whether it shows events, a line each, as they come."""
        return self.live and not self.sums

    def missing(self) -> str:
        """Why it cannot be started at all, or nothing."""
        if shutil.which(self.command[0]):
            return ""
        return f"not installed: apt-get install {self.package}"

    def version(self) -> str:
        """Its package and version."""
        show = ["dpkg-query", "-W", "-f", "${Package} ${Version}", self.package]
        return subprocess.run(show, capture_output=True, text=True).stdout

    def happened(self, connections: int) -> int:
        """How many of its lines so many connections to one listener, since closed, are."""
        return connections * self.of_connection + self.of_listener

    def lines(self, text: str, port: int) -> Iterator[Line]:
        """What it said of sockets at a port."""
        for found in self.line.finditer(text):
            pid, lport, rport = (_number(found[name]) for name in ("pid", "lport", "rport"))
            if port in (lport, rport):
                yield Line(pid, lport, rport)

    def count(self, text: str, port: int) -> int:
        """How many events at a port it told."""
        if self.sums:
            return sum(int(found["count"]) for found in self.line.finditer(text))
        return sum(1 for _ in self.lines(text, port))

    def told_lost(self, text: str) -> int:
        """How many events it said were lost."""
        return sum(map(int, self.lost.findall(text)))


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0


PORT = 997  # of this storm alone: others' tools see every namespace, and other benches
_OURS = re.compile(
    r"^\S+ state +\S+:(?P<lport>\d+|\*) +(?:\S+:(?P<rport>\d+)|-) .*?\[(?P<pid>\d+)\]",
    re.MULTILINE,
)
_OURS_LOST = re.compile(r" matched, (\d+) lost in ")
# text may come too fast for who prints it: accepts and handshakes are lost then as well
_OURS_LOST_TRANSITIONS = re.compile(r"found the buffer full \((?:.*, )?(\d+) state\b")
_SUM = re.compile(r"^[A-Z_0-9]+ -> [A-Z_0-9]+(?: \(mini-socket\))? +(?P<count>\d+)", re.MULTILINE)
_STATES = re.compile(
    r"^[0-9a-f]{16} +(?P<pid>\d+) .* (?P<lport>\d+) +\S+ +(?P<rport>\d+) +\w+ +-> ", re.MULTILINE
)
_LIFE = re.compile(
    r"^(?P<pid>\d+) .* (?P<lport>\d+) +\S+ +(?P<rport>\d+) +[\d.]+ +[\d.]+ +[\d.]+ *$", re.MULTILINE
)
_SCRIPT = re.compile(r"^(?P<pid>\d+) \S+ (?P<lport>\d+) \S+ (?P<rport>\d+) \d+ \d+ ", re.MULTILINE)
_SCRIPT_SUM = re.compile(r"^@\[\d+, \d+\]: (?P<count>\d+)$", re.MULTILINE)
_POINT = "tracepoint:sock:inet_sock_set_state"
_PRINT = (
    f"{_POINT} /args->protocol == 6/ {{ "
    r'printf("%d %s %d %s %d %d %d %s\n", pid, ntop(args->family, args->saddr), args->sport, '
    "ntop(args->family, args->daddr), args->dport, args->oldstate, args->newstate, comm) }"
)
_COUNT = (
    f"{_POINT} /args->sport == {PORT} || args->dport == {PORT}/ "
    "{ @[args->oldstate, args->newstate] = count() }"
)
_BPFTRACE_LOST = re.compile(r"^Lost (\d+) events$", re.MULTILINE)

TOOLS = [
    Tool(
        "tcptrace states",
        [COMMAND, "states", "--port", str(PORT)],
        _SUM,
        _OURS_LOST,
    ),
    Tool("tcptrace record", [COMMAND, "record", RECORDING], _OURS, _OURS_LOST, live=False),
    Tool(
        "tcptrace events",
        [COMMAND, "events"],
        _OURS,
        _OURS_LOST_TRANSITIONS,
        drops=(COMMAND, "events", "--kind", "syn_drop"),
    ),
    Tool(
        "bcc tcpstates",
        ["tcpstates-bpfcc"],
        _STATES,
        re.compile(r"^Possibly lost (\d+) samples$", re.MULTILINE),
        package="bpfcc-tools",
        needs_headers=True,
    ),
    Tool(
        "libbpf-tools tcpstates",
        ["tcpstates"],
        _STATES,
        re.compile(r"^[Ll]ost (\d+) events on CPU #\d+", re.MULTILINE),
        package="libbpf-tools",
    ),
    Tool(
        "libbpf-tools tcplife",
        ["tcplife"],
        _LIFE,
        re.compile(r"^[Ll]ost (\d+) events on CPU #\d+", re.MULTILINE),
        package="libbpf-tools",
        of_connection=2,
        of_listener=0,
    ),
    Tool("bpftrace, printf", ["bpftrace", "-e", _PRINT], _SCRIPT, _BPFTRACE_LOST, "bpftrace"),
    Tool(
        "bpftrace, count()",
        ["bpftrace", "-e", _COUNT],
        _SCRIPT_SUM,
        _BPFTRACE_LOST,
        "bpftrace",
    ),
]
