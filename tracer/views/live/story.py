"""One connection's whole history: its steps, how long it was in each state, what that means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tracer.flows.sockets import Owner
from tracer.views import lines
from tracer.views.columns import Facts, Row, rows
from tracer.views.live.measures import measures
from tracer.views.live.picture import Picture
from tracer.views.live.rows import named
from tracer.views.live.sense import sense
from tracer.views.text import address, duration, endpoint
from tracer.wire.batch import Batch
from tracer.wire.layout import Records

ATTACHES = ("drop",)  # what a history needs beyond what is traced anyway
# event lines have a column for their kind; here it is said
BEGINS = {
    "accept": "accept() ",
    "handshake": "handshake: ",
    "connection": "ended: ",
    "retransmit": "sent again: ",
    "reset": "RST ",
    "error": "error: ",
    "syn_drop": "SYN or ACK dropped: ",
    "drop": "packet dropped: ",
}


@dataclass(frozen=True)
class Step:
    """One event. `step_ns` is the time since the one before; `by` the owner, where it acted."""

    at_ns: int
    step_ns: int | None
    kind: str
    text: str
    by: str


@dataclass(frozen=True)
class Stay:
    """Time in one state, in all. `bound`: it was longer than that."""

    state: str
    ns: int
    bound: bool


@dataclass(frozen=True)
class Story:
    """What there is to say of one connection. `records` are its events, to be copied."""

    cookie: int
    name: str
    owner: str
    role: str
    state: str
    steps: list[Step]
    now_ns: int
    open_ns: int | None  # in its state, up to now; None: it has ended
    bound: bool
    stays: list[Stay]
    measures: list[str]
    sense: str
    whole: str
    records: dict[str, Records]


def tell(picture: Picture, cookie: int) -> Story | None:
    """The story of a socket; None where nothing at all is known of it."""
    facts = picture.facts
    records = picture.history.of(cookie)
    found = picture.connections[picture.connections["cookie"] == cookie]
    now = found[0] if len(found) else None
    if now is None and not records:
        return None
    steps, told = _steps(records, facts)
    last = now if now is not None else told[-1]
    owner = _owner(last)
    state = facts.states[int(now["state"])] if now is not None else "closed"
    told_role = [*records.get("handshake", ()), *records.get("connection", ())]
    roles = {facts.roles[int(one["role"])] for one in told_role}
    roles |= {("", "active", "passive")[int(now["role"])]} if now is not None else set()
    open_ns = max(0, picture.now_ns - int(now["since_ns"])) if now is not None else None
    bound = now is not None and now["since_is"] != facts.exact
    stays = _stays(records.get("state"), facts)
    if open_ns is not None:
        stays = _added(stays, Stay(state, open_ns, bool(bound)))
    return Story(
        cookie=cookie,
        name=_ends(last),
        owner=named(owner, facts),
        role=" ".join(sorted(roles - {"", "unknown"})),
        state=state,
        steps=steps,
        now_ns=picture.now_ns,
        open_ns=open_ns,
        bound=bool(bound),
        stays=stays,
        measures=measures(picture, cookie),
        sense=sense(picture, now, named(owner, facts)),
        whole=f"{_whole(picture, cookie, records, len(steps))}. {_of_packets(picture)}",
        records=records,
    )


def _steps(records: dict[str, Records], facts: Facts) -> tuple[list[Step], list[np.void]]:
    if not records:
        return [], []
    plain = {kind: rows(found, kind) for kind, found in records.items()}
    steps: list[Step] = []
    told = []
    for kind, i in Batch(records).order():
        row = plain[kind][i]
        step_ns = row.mono_ns - steps[-1].at_ns if steps else None
        steps.append(Step(row.mono_ns, step_ns, kind, _text(kind, row, facts), _by(row, facts)))
        told.append(records[kind][i])
    return steps, told


def _text(kind: str, row: Row, facts: Facts) -> str:
    if kind == "state":
        new = facts.states[row.timewait] if row.timewait else facts.states[row.new]
        return f"{facts.states[row.old]} -> {new}"
    return BEGINS[kind] + lines.what(kind, row, facts)


def _by(row: Row, facts: Facts) -> str:
    """Who was on the CPU, if that was the owner; else a packet or a timer interrupted someone."""
    return named((row.pid, row.start), facts) if row.pid and row.oncpu_pid == row.pid else "-"


def _owner(row: np.void) -> Owner:
    return int(row["pid"]), int(row["start"])


def _ends(row: np.void) -> str:
    local = endpoint(address(bytes(row["laddr"])), int(row["lport"]))
    remote = endpoint(address(bytes(row["raddr"])), int(row["rport"]))
    return f"{local} -> {remote}"


def _stays(states: Records | None, facts: Facts) -> list[Stay]:
    """Time in each state that was left, in the order of their first."""
    stays: list[Stay] = []
    for row in states if states is not None else ():
        old = facts.states[int(row["old"])]
        if old not in ("CLOSE", "LISTEN"):
            exact = bool(row["dwell_is"] == facts.exact)
            stays = _added(stays, Stay(old, int(row["dwell_ns"]), not exact))
    return stays


def _added(stays: list[Stay], more: Stay) -> list[Stay]:
    for i, stay in enumerate(stays):
        if stay.state == more.state:
            both = Stay(stay.state, stay.ns + more.ns, stay.bound or more.bound)
            return [*stays[:i], both, *stays[i + 1 :]]
    return [*stays, more]


def _whole(picture: Picture, cookie: int, records: dict[str, Records], count: int) -> str:
    """Whether that is all there was; and if not, what is missing."""
    facts = picture.facts
    names = facts.layout.enums["tcp_state"]
    states = records.get("state")
    begins = states is not None and (
        states["old"][0] == names["LISTEN"] or states["new"][0] == names["SYN_SENT"]
    )
    born = int(states["mono_ns"][0]) if begins and states is not None else 0
    if not picture.history.is_whole(cookie, born, is_open(picture, cookie)):
        since = facts.clock.time(picture.history.whole_since)
        return (
            f"not complete: no room was left for some of what happened before {since};"
            f" {count} events kept"
        )
    if begins:
        lost = sum(number for at_ns, number in picture.lost_at if at_ns >= born)
        said = f"at most {lost} of its events lost" if lost else "0 lost in its life"
        return f"complete: seen from its begin; {count} events, {said}"
    what = f"{count} events since" if count else "nothing has happened to it since"
    return f"not complete: older than the tracer; {what}"


def _of_packets(picture: Picture) -> str:
    """Since when packets of its that were dropped are among the steps."""
    parts, clock = picture.parts, picture.facts.clock
    since, why = parts.packets_since_ns, parts.why_off.get("drop")
    if why:
        return f"Its dropped packets are not among them: {why}"
    if since is None:
        missing = "this recording has none" if picture.recorded else "not looked at yet"
        return f"Its dropped packets are not among them: {missing}"
    told = f"Its dropped packets are among them since {clock.time(since)}"
    if parts.packets_limited:
        told += f"; of all connections' {parts.packets_limited} were counted, and have no record"
    return told


def is_open(picture: Picture, cookie: int) -> bool:
    """Whether something may still happen to it: not where TIME_WAIT alone is left of it."""
    row = picture.connections[picture.connections["cookie"] == cookie]
    time_wait = picture.facts.layout.enums["tcp_state"]["TIME_WAIT"]
    return bool(len(row)) and int(row[0]["state"]) != time_wait


def as_lines(story: Story, facts: Facts, width: int, filled: str) -> list[str]:
    """As it is drawn, and copied as text: at most so wide."""
    found = [f"{story.name}  {story.role}".rstrip() + f"  {story.owner}  sk:{story.cookie:x}"]
    found += [f"{story.state}", ""]
    table = [("AT", "STEP", "EVENT", "BY")]
    for step in story.steps:
        apart = duration(step.step_ns) if step.step_ns is not None else "-"
        table.append((facts.clock.time(step.at_ns), apart, step.text, step.by))
    if story.open_ns is not None:
        span = (">=" if story.bound else "") + duration(story.open_ns)
        table.append(("now", span, f"still {story.state}", ""))
    text = min(max(len(row[2]) for row in table), max(20, width - 45))
    for at, apart, what, by in table:
        found.append(f"{at:>15} {apart:>8}  {what:{text}}  {by}".rstrip())
    found += ["", *_bars(story, width, filled), *story.measures]
    found += [*_wrapped("MEANS  ", story.sense, width)]
    return [*found, "", *_wrapped("", story.whole, width)]


def _bars(story: Story, width: int, filled: str) -> list[str]:
    most = max((stay.ns for stay in story.stays), default=0)
    total = sum(stay.ns for stay in story.stays)
    found = []
    for i, stay in enumerate(story.stays):
        length = -(-stay.ns * max(10, width - 45) // most) if most else 0
        share = stay.ns / total if total else 0
        span = (">=" if stay.bound else "") + duration(stay.ns)
        begin = "TIME IN" if not i else ""
        found.append(f"{begin:7} {stay.state:12} {span:>8} {share:4.0%} {filled * length}".rstrip())
    return found


def _wrapped(begin: str, text: str, width: int) -> list[str]:
    found, line = [], begin
    for word in text.split():
        if len(line) + len(word) + 1 > width and line.strip():
            found.append(line.rstrip())
            line = " " * len(begin)
        line += f"{word} "
    return [*found, line.rstrip()]
