"""Times in which nobody listened on a port: one sentence each."""

from __future__ import annotations

from tracer.flows.gaps import Gap, Owner
from tracer.views.columns import Facts
from tracer.views.text import duration, escape


def sentence(gap: Gap, facts: Facts, now_ns: int, with_netns: bool, all_came: bool = True) -> str:
    """How long, who closed and opened it, and who was turned away meanwhile.

    At least so many, where not all records came.
    """
    text = f"no listener on :{gap.port}"
    if with_netns:
        text += f" of netns {gap.netns}"
    closed = f"closed by {_who(gap.closed_by, facts)} {_time(gap.closed_ns, facts)}"
    if gap.opened_ns:
        opened = f"opened by {_who(gap.opened_by, facts)} {_time(gap.opened_ns, facts)}"
        text += f" for {duration(gap.opened_ns - gap.closed_ns)} ({closed}, {opened})"
    else:
        text += f" for {duration(max(0, now_ns - gap.closed_ns))}, and none yet ({closed})"
    told = [_many(gap.refused, "SYN", "refused")] if gap.refused else []
    if gap.reset_in_queue:
        what = "finished connection"
        told.append(_many(gap.reset_in_queue, what, "reset in the closing queue"))
    return f"{text}: {'' if all_came else 'at least '}{'; '.join(told)}"


def document(
    gap: Gap, facts: Facts, moment: str, now_ns: int, all_came: bool = True
) -> dict[str, object]:
    """A `listener_gap` record's own members."""
    end = gap.opened_ns or now_ns
    found: dict[str, object] = {"netns": gap.netns, "lport": gap.port}
    for name, ns, owner in (
        ("closed", gap.closed_ns, gap.closed_by),
        ("opened", gap.opened_ns, gap.opened_by),
    ):
        process = facts.process(*owner) if ns else None
        found[name] = facts.clock.iso(ns) if ns else None
        found[f"{name}_by_pid"] = process.pid if process else None
        found[f"{name}_by_comm"] = process.comm if process else None
    found["gap_us"] = max(0, end - gap.closed_ns) // 1000
    turned_away = {"refused": gap.refused, "reset_in_queue": gap.reset_in_queue}
    return found | turned_away | {"at_least": not all_came}


def _many(count: int, what: str, became: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'} {became}"


def _who(owner: Owner, facts: Facts) -> str:
    process = facts.process(*owner)
    return f"{escape(process.comm)}[{process.pid or '-'}]" if process else "(unknown)"


def _time(mono_ns: int, facts: Facts) -> str:
    """To the millisecond."""
    return facts.clock.time(mono_ns)[:12]
