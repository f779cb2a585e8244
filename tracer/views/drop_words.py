"""What `drops` says beside its table, and what its records hold."""

from __future__ import annotations

from tracer.flows.devices import Devices, Lost
from tracer.views import stack_words
from tracer.views.columns import Facts
from tracer.views.drop_table import Group, Row
from tracer.views.summary import Document
from tracer.views.text import escape
from tracer.wire import reasons
from tracer.words.causes import MEANINGS

# what is not shown of a recording without the kind
LACKS = {
    "drop": "packets by the kernel's reason are not shown",
    "syn_drop": "SYNs and final ACKs that listeners dropped are not shown",
}
MEMBERS = (
    *("layer", "reason", "stage", "answer", "location", "direction", "dev", "pid", "comm"),
    *("owner_from", "netns", "lport", "listener_cookie", "count", "rate", "expected", "meaning"),
    "stacks",
)


def order(row: Row) -> str:
    """By what rows of one count are sorted."""
    return f"{row.netns} {row.port} {row.reason} {row.at} {row.dev} {row.owner_text}"


def meaning(reason: str) -> str:
    """A sentence on a cause of a listener's, or a reason of the kernel's."""
    return MEANINGS.get(reason) or reasons.meaning_of(reason)


def meanings(rows: list[Row]) -> list[str]:
    """A line for each reason of the rows that are shown, in their order."""
    told = dict.fromkeys(row.why for row in rows)
    width = max((len(reason) for reason, _ in told), default=0)
    return [f"{reason:{width}}  {sentence}" for reason, sentence in told]


def hidden(count: int) -> list[str]:
    """How many are not shown as nothing is lost with them."""
    return [f"{count} expected ones hidden: nothing is lost with them (--all)"] if count else []


def document(row: Row, facts: Facts) -> Document:
    """A row as a record, without what all records have."""
    process, words = facts.process(*row.owner), row.words
    listener = words.get("listener")
    return {
        "layer": row.layer,
        "reason": words["reason"],
        "stage": words.get("stage"),
        "answer": words.get("answer"),
        "location": row.at,
        "direction": words["direction"],
        "dev": words.get("dev"),
        "pid": process.pid if process else None,
        "comm": process.comm if process else None,
        "owner_from": words.get("owner_from"),
        "netns": row.netns,
        "lport": row.port,
        "listener_cookie": listener,
        "count": row.count,
        "rate": round(row.rate, 3),
        "expected": row.expected,
        "meaning": row.why[1],
        "stacks": stacks(row, facts),
    }


def stacks(row: Row | Group, facts: Facts) -> list[Document] | None:
    """Those of a row as a record has them."""
    if not facts.calls.shown:
        return None
    return stack_words.documents(stack_words.counted(row.stacks, facts))


def beside(lost: list[Lost], devices: Devices) -> list[str]:
    """What no packet tells of: what devices and CPUs counted, or that none did."""
    parts: dict[tuple[int | None, str | None], list[str]] = {}
    for one in lost:
        if one.cpu is None:
            parts.setdefault((one.netns, one.device), []).append(f"{one.counter} {one.count}")
    many = len({netns for netns, _ in devices.devices}) > 1
    told = [
        f"{escape(device or '')}{f' (netns {netns})' if many else ''} {' '.join(counters)}"
        for (netns, device), counters in parts.items()
    ]
    cpus = {
        name: sum(one.count for one in lost if one.cpu is not None and one.counter == name)
        for name in ("dropped", "time_squeeze")
    }
    of_cpus = ", ".join(f"{name} {count}" for name, count in cpus.items())
    where = "; ".join(told) or f"{len(devices.devices)} devices 0"
    return [f"before or beside a packet buffer, same span: {where}; softnet {of_cpus}"]


def lost_document(one: Lost, moment: str) -> Document:
    """A counter that moved, as a record."""
    return {
        "ts": moment,
        "kind": "device_drop",
        "netns": one.netns,
        "dev": one.device,
        "cpu": one.cpu,
        "counter": one.counter,
        "count": one.count,
    }
