"""What was told of the self-test's connections, beside what was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tracer.selftest.workload import DROPPED, FILTERED, OK, REFUSED, Account, Workload
from tracer.views.columns import Facts, rows
from tracer.views.drop_columns import is_expected_drop, is_syn
from tracer.wire.layout import Layout, Records

UNANSWERED = DROPPED + FILTERED
_SLACK_NS = 1_000_000  # a connection is queued some us before it is told to be ESTABLISHED

STATES = Counter(
    {
        "CLOSE SYN_SENT": OK + REFUSED + UNANSWERED,
        "SYN_SENT ESTABLISHED": OK,
        "SYN_SENT CLOSE": REFUSED + UNANSWERED,
        "ESTABLISHED FIN_WAIT1": OK,
        "FIN_WAIT1 FIN_WAIT2": OK,
        "FIN_WAIT2 CLOSE": OK,
        "CLOSE LISTEN": 3,
        "LISTEN SYN_RECV": OK,
        "SYN_RECV ESTABLISHED": OK,
        "ESTABLISHED CLOSE_WAIT": OK,
        "CLOSE_WAIT LAST_ACK": OK,
        "LAST_ACK CLOSE": OK,
        "LISTEN CLOSE": 3,
    }
)
HANDSHAKES = Counter(
    {"ACTIVE OK": OK, "PASSIVE OK": OK, "ACTIVE REFUSED": REFUSED, "ACTIVE ABORTED": UNANSWERED}
)
ACCEPTS = Counter({"accepts that waited as long as the server says": OK})
SYN_DROPS = Counter({"SYN ACCEPT_QUEUE_FULL": DROPPED})
DROPS = Counter({"NO_SOCKET": REFUSED, "SOCKET_FILTER": FILTERED})
EXPECTED = {
    "state": STATES,
    "handshake": HANDSHAKES,
    "accept": ACCEPTS,
    "syn_drop": SYN_DROPS,
    "drop": DROPS,
}
KERNEL = {
    "ActiveOpens": OK + REFUSED + UNANSWERED,
    "PassiveOpens": OK,
    "ListenOverflows": DROPPED,
    "OutRsts": REFUSED,
}


@dataclass(frozen=True)
class Result:
    """One subject: how many events there were, how many of them were told, what else was.

    One that was not `tried`, as that is not permitted, says nothing either way.
    """

    subject: str
    expected: int
    found: int
    surplus: int = 0
    why: str = ""
    tried: bool = True

    @property
    def is_exact(self) -> bool:
        """Whether all were told, and nothing else."""
        return self.tried and self.found == self.expected and not self.surplus


def records(kinds: Iterable[str]) -> int:
    """How many records of these kinds there are to come."""
    return sum(EXPECTED[kind].total() for kind in kinds)


def compare(
    told: dict[str, list[Records]],
    untried: dict[str, str],
    lost: int,
    facts: Facts,
    work: Workload,
    account: Account,
    missed: int = 0,
    strays: int = 0,
) -> list[Result]:
    """A result for each kind, for owners, for what was lost, and for the kernel's own count.

    `untried`: why kinds were not asked for. Of `lost`, `missed` are runs of programs that the
    kernel skipped, wherever on the machine: where all is told they were of others' packets.
    `strays`: as `split_drops` has them; the kernel may have sent as many RSTs more.
    """
    layout = facts.layout
    readings = {
        "state": lambda some: _states(some, layout),
        "handshake": lambda some: _handshakes(some, layout),
        "accept": lambda some: _accepts(some, account),
        "syn_drop": lambda some: _syn_drops(some, layout),
        "drop": lambda some: [facts.reason(reason) for reason in some["reason"].tolist()],
    }
    found = []
    for kind, expected in EXPECTED.items():
        if kind in untried:
            found.append(Result(kind, expected.total(), 0, why=untried[kind], tried=False))
            continue
        names = [name for some in told.get(kind, ()) for name in readings[kind](some)]
        found.append(_result(kind, expected, Counter(names)))
    if all(one.is_exact for one in found if one.tried):
        lost -= missed
    owners = [owner for parts in told.values() for some in parts for owner in _owners(some, facts)]
    right = Counter(pid == _owner(places, work) for pid, places in owners)
    count = records(EXPECTED.keys() - untried.keys())
    missing = count - right.total()
    why = [f"{missing} not told"] * (missing > 0) + [f"{right[False]} wrong"] * (right[False] > 0)
    found.append(Result("owner", count, right[True], right[False], ", ".join(why)))
    found.append(Result("lost", 0, 0, lost, f"{lost} lost" if lost else ""))
    kernel = Counter(account.kernel)
    kernel["OutRsts"] -= min(strays, max(0, kernel["OutRsts"] - KERNEL["OutRsts"]))
    return [*found, _result("kernel", Counter(KERNEL), kernel)]


def _result(subject: str, expected: Counter[str], found: Counter[str]) -> Result:
    missing, surplus = expected - found, found - expected
    why = [f"{count} of {name} missing" for name, count in missing.items()]
    why += [f"{count} of {name} too many" for name, count in surplus.items()]
    return Result(
        subject, expected.total(), (expected & found).total(), surplus.total(), ", ".join(why)
    )


def split_drops(records: Records, facts: Facts) -> tuple[Records, int]:
    """The SYNs that were lost, and how many others: no test decides what else is dropped.

    On a busy machine a segment is sent again, and finds its connection gone.
    """
    lost = np.array([not is_expected_drop(row, facts) for row in rows(records, "drop")], np.bool_)
    syns = np.array([is_syn(flags) for flags in records["tcp_flags"].tolist()], np.bool_)
    return records[lost & syns], int((lost & ~syns).sum())


def _states(records: Records, layout: Layout) -> list[str]:
    names = layout.names["tcp_state"]
    pairs = zip(records["old"].tolist(), records["new"].tolist(), strict=True)
    return [f"{names[old]} {names[new]}" for old, new in pairs]


def _handshakes(records: Records, layout: Layout) -> list[str]:
    roles, outcomes = layout.names["role"], layout.names["outcome"]
    pairs = zip(records["role"].tolist(), records["outcome"].tolist(), strict=True)
    return [f"{roles[role]} {outcomes[outcome]}" for role, outcome in pairs]


def _syn_drops(records: Records, layout: Layout) -> list[str]:
    stages, causes = layout.names["stage"], layout.names["cause"]
    columns = (records[name].tolist() for name in ("stage", "cause", "count"))
    return [
        f"{stages[stage]} {causes[cause]}"
        for stage, cause, count in zip(*columns, strict=True)
        for _ in range(count)
    ]


def _accepts(records: Records, account: Account) -> list[str]:
    """Whether each waited as long as it did by the server's own clock."""
    found = []
    for port, wait in zip(records["rport"].tolist(), records["wait_ns"].tolist(), strict=True):
        called, returned = account.accepts.get(port, (0, 0))
        least, most = called - account.queued - _SLACK_NS, returned - account.opened
        fits = least <= wait <= most
        name = next(iter(ACCEPTS))
        found.append(name if fits else "accepts that waited otherwise")
    return found


def _owners(records: Records, facts: Facts) -> list[tuple[int | None, tuple[int, int]]]:
    """PID and (local, remote) port of each."""
    columns = (records[name].tolist() for name in ("pid", "start", "lport", "rport"))
    found = []
    for pid, start, lport, rport in zip(*columns, strict=True):
        process = facts.processes.find(pid, start)
        found.append((process.pid if process else None, (lport, rport)))
    return found


def _owner(places: tuple[int, int], work: Workload) -> int | None:
    """Who has the socket at these ports: only the client calls one of the server's."""
    if places[0] == work.shut:
        return None
    return work.client if places[1] in work.ports else work.server
