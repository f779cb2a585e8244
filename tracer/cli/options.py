"""Filters and options, each declared once, and the groups in which commands take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Any], Any]


def _option(*names: str, **settings: Any) -> Decorator:
    return click.option(*names, **settings)


def _group(*decorators: Decorator) -> Decorator:
    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def by(default: str, *known: str) -> Decorator:
    """--by of a table: what its rows are if it is not given, and the keys it knows."""
    words = ", ".join("peer[/N]" if word == "peer" else word for word in known)
    text = f"Rows by {words} ({default})."
    return _option("--by", multiple=True, metavar="KEY,…", help=text)


netns = _option(
    "--netns",
    multiple=True,
    metavar="WHICH,…",
    help="Network namespaces: all (default), self, a PID, name, path or inode.",
)
filters = _group(
    _option("-p", "--pid", multiple=True, metavar="PID,…", help="These processes and below them."),
    _option(
        "--follow/--no-follow",
        default=True,
        help="With --pid, descendants too (on).",
    ),
    _option("--comm", multiple=True, metavar="GLOB,…", help="Processes of this name: 'work*'."),
    _option(
        "--cgroup",
        multiple=True,
        metavar="WHICH,…",
        help="Control groups and all below: path, unit, container or pod.",
    ),
    _option("--uid", multiple=True, metavar="UID,…", help="Sockets of this user: number or name."),
    _option("--port", multiple=True, metavar="N[-M],…", help="This port, on either side."),
    _option("--lport", multiple=True, metavar="N[-M],…", help="This local port."),
    _option("--rport", multiple=True, metavar="N[-M],…", help="This remote port."),
    _option("--addr", multiple=True, metavar="CIDR,…", help="This address, on either side."),
    _option("--laddr", multiple=True, metavar="CIDR,…", help="This local address."),
    _option("--raddr", multiple=True, metavar="CIDR,…", help="This remote address."),
    _option("-4", "ipv4", is_flag=True, help="IPv4 packets only."),
    _option("-6", "ipv6", is_flag=True, help="IPv6 packets only."),
    _option(
        "--state", multiple=True, metavar="STATE,…", help="Leaving, entering or in this state."
    ),
    netns,
    _option(
        "--exclude",
        multiple=True,
        metavar="KEY=VALUE,…",
        help="Leave out what this filter would let pass: port=22,443.",
    ),
)
ends = _group(
    _option("--failed", is_flag=True, help="Attempts to connect and accepts that failed."),
    _option(
        "--slower",
        metavar="TIME",
        help="Handshakes, waits for accept(), states that took this long or longer.",
    ),
)
kind = _option(
    "--kind",
    multiple=True,
    metavar="KIND,…",
    help="Kinds: state, accept, handshake, connection, retransmit, reset, error, syn_drop, drop,"
    " all.",
)

stack = _option(
    "--stack",
    is_flag=True,
    help="Of dropped packets the kernel's stack, and their owner's if it called the kernel.",
)

made = _option(
    "--stack",
    is_flag=True,
    help="Where sockets that are not closed were made: the calls to connect() or accept().",
)

duration = _option(
    "-d", "--duration", metavar="TIME", help="End after 30, 200ms, 5m; else: Ctrl-C."
)
count = _option("-c", "--count", metavar="EVENTS", help="End after so many events.")
interval = _option("-i", "--interval", metavar="TIME", help="A block every so often: 1, 500ms.")
limit = _option("--limit", metavar="N", help="Rows at most; 0: all (20 on a terminal).")
form = _option(
    "-f",
    "--format",
    "form",
    default="table",
    metavar="FORM",
    help="table (default), json, csv or md.",
)
sort = _option(
    "--sort", metavar="COLUMN", help="Rows by a column, biggest first; -COLUMN: smallest."
)
columns = _option("--columns", metavar="A,B,…", help="These columns alone, in this order.")
no_header = _option("--no-header", is_flag=True, help="Without the line of the columns' names.")
as_json = _option("-j", "--json", "as_json", is_flag=True, help="Same as --format json.")
output = _option("-o", "--output", metavar="FILE", help="Results into a new file.")
force = _option("--force", is_flag=True, help="Write over a file that exists.")
source = _option("-r", "--from", "source", metavar="FILE", help="Show a recording; - is stdin.")
since = _option("--since", metavar="WHEN", help="Of a recording: from 03:12:41, a date, +30s, -1m.")
until = _option("--until", metavar="WHEN", help="Of a recording: before then.")
keep = _option("-w", "--keep", metavar="FILE", help="Keep the session in a recording as well.")
utc = _option("--utc", is_flag=True, help="Times in UTC.")
color = _option("--color", default="auto", metavar="WHEN", help="auto (default), always or never.")

common = _group(
    _option("-q", "--quiet", is_flag=True, help="No notices, no closing line."),
    _option("-v", "--verbose", is_flag=True, help="Errors with their tracebacks."),
)
ready_file = _option("--ready-file", metavar="PATH", help="Made once all is attached.")
# how it is done: also by a session that shows nothing
means = _group(
    _option("--transport", metavar="HOW", help="How records come: auto (default), perf, ring."),
    _option("--buffer-pages", metavar="N", help="Pages of each buffer per CPU, a power of two."),
    _option("--sockets", metavar="N", help="Sockets that can be kept track of (131072)."),
    _option(
        "--attach",
        metavar="HOW",
        help="auto (default); or fexit, raw, kprobe, tracepoint for all that can be attached so.",
    ),
)
tracing = _group(
    means,
    _option(
        "--backend",
        metavar="WHICH",
        help="auto (default), core, or bcc, which compiles the programs: no BTF is needed.",
    ),
    _option("--no-accept-hook", is_flag=True, help="Do not watch accept(): see doctor."),
    _option("--kernel-cost", is_flag=True, help="Tell what its programs take (+20 ns a run)."),
    ready_file,
)
numeric = _option("-n", "--numeric", is_flag=True, help="Numbers, not names (the default).")
names = _option("--names", is_flag=True, help="Names of addresses and ports, where they are known.")
delta = _option("--delta", is_flag=True, help="Lines with the time since the one before.")

# what every command that shows a session takes
shown = _group(
    *(
        form,
        as_json,
        columns,
        no_header,
        output,
        force,
        source,
        since,
        until,
        keep,
        utc,
        names,
        numeric,
        color,
    ),
    *(tracing, common),
)
# and one that sums up
summary = _group(limit, sort, duration, interval, shown)
# and one that only reads what the kernel counts
read = _group(
    *(limit, sort, duration, interval, form, as_json, columns, no_header, output, force),
    *(utc, ready_file, common),
)
