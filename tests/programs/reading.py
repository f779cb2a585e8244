"""Records read for what a test claims: steps, lives of sockets, and whose they are."""

from __future__ import annotations

from collections import Counter

from tests.harness import Record, Tracer, wait_until

# What each side of a connection goes through where the client closes first.
CLIENT_LIFE = [
    "CLOSE SYN_SENT",
    "SYN_SENT ESTABLISHED",
    "ESTABLISHED FIN_WAIT1",
    "FIN_WAIT1 FIN_WAIT2",
    "FIN_WAIT2 CLOSE",
]
CHILD_BIRTH = ["LISTEN SYN_RECV", "SYN_RECV ESTABLISHED"]
CHILD_END = ["ESTABLISHED CLOSE_WAIT", "CLOSE_WAIT LAST_ACK", "LAST_ACK CLOSE"]
CHILD_LIFE = [*CHILD_BIRTH, "accept", *CHILD_END]


def step(record: Record) -> str:
    """`OLD NEW` of a transition, else the kind."""
    return f"{record['old']} {record['new']}" if record["kind"] == "state" else str(record["kind"])


def steps(records: list[Record]) -> list[str]:
    return [step(record) for record in records]


def lives(records: list[Record]) -> dict[str, list[Record]]:
    """Records of each socket, by its cookie, in their order."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["cookie"], []).append(record)
    return found


def life(records: list[Record], local: int | None, remote: int) -> list[Record]:
    """Records of the one socket that had these ports, from its first to its last."""
    cookies = {r["cookie"] for r in records if r["rport"] == remote and local in (None, r["lport"])}
    assert len(cookies) == 1, f"{local} to {remote}: sockets {cookies or 'none'}"
    cookie = cookies.pop()
    return [r for r in records if r["cookie"] == cookie]


def owners(records: list[Record]) -> list[tuple[str, int | None, str]]:
    """(step, pid, owner_is) of each."""
    return [(step(r), r["pid"], r["owner_is"]) for r in records]


def owned(names: list[str], pid: int, how: str = "process") -> list[tuple[str, int | None, str]]:
    """What owners() gives if all these steps belong to one."""
    return [(name, pid, how) for name in names]


def tally(records: list[Record]) -> Counter[tuple[str, int | None]]:
    """How often each step was told of each process."""
    return Counter((step(r), r["pid"]) for r in records)


def stop_after(tracer: Tracer, count: int) -> list[Record]:
    """Wait for so many records, then end the tracer: more than those would show as well."""
    try:
        wait_until(lambda: len(tracer.so_far()) >= count, f"{count} records")
    except AssertionError as error:
        found = Counter(steps(tracer.so_far()))
        raise AssertionError(f"{error}; had {sum(found.values())}: {dict(found)}") from None
    records = tracer.stop()
    assert tracer.counts["lost"] == 0, tracer.stderr
    assert tracer.counts["matched"] == len(records)
    return records


def told(records: list[Record]) -> list[tuple[str, str, str | None]]:
    """Role, outcome and errno of each attempt to connect."""
    return [(r["role"], r["outcome"], r["errno"]) for r in records]


def only(records: list[Record]) -> Record:
    """The one record that there is."""
    assert len(records) == 1, records
    return records[0]
