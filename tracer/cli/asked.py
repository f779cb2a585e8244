"""Filters as options give them, and as --exclude does."""

from __future__ import annotations

from typing import Any

from tracer.cli import values
from tracer.errors import UsageError
from tracer.wire.filters import Filters

# what --exclude takes: the filters that have a value
KEYS = (
    *(
        "pid",
        "comm",
        "cgroup",
        "uid",
        "port",
        "lport",
        "rport",
        "addr",
        "laddr",
        "raddr",
        "family",
        "state",
    ),
    *("netns", "kind"),
)


TYPED = ("netns", "state", "uid")  # of what was typed more is to be read than of what it means


def read_filters(given: dict[str, Any]) -> Filters:
    """Filters from options. Errors: UsageError, TracerError for what does not exist."""
    if given.get("ipv4") and given.get("ipv6"):
        raise UsageError("-4 and -6 together leave nothing", "give one of them, or neither")
    family = ("4",) * given.get("ipv4", False) + ("6",) * given.get("ipv6", False)
    texts = {name: tuple(given.get(name, ())) for name in KEYS if name != "family"}
    return _read(
        texts | {"family": family},
        slower=given.get("slower"),
        follow=given.get("follow", True),
        failed=bool(given.get("failed")),
        exclude=_read_exclude(given),
    )


def _read(
    texts: dict[str, tuple[str, ...]],
    before: str = "--",
    slower: str | None = None,
    **others: Any,
) -> Filters:
    """`before`: what stands before a key where it was given, for errors to name it."""
    found = {name: texts.get(name, ()) for name in KEYS}

    return Filters(
        pids=values.pids(found["pid"]),
        comms=values.comms(found["comm"]),
        cgroups=values.cgroups(found["cgroup"]),
        uids=values.uids(found["uid"]),
        ports=values.ports(found["port"], before + "port"),
        lports=values.ports(found["lport"], before + "lport"),
        rports=values.ports(found["rport"], before + "rport"),
        addrs=values.networks(found["addr"], before + "addr"),
        laddrs=values.networks(found["laddr"], before + "laddr"),
        raddrs=values.networks(found["raddr"], before + "raddr"),
        family=values.family(found["family"]),
        states=values.states(found["state"]),
        netns=values.netns(found["netns"]),
        kinds=values.kinds(found["kind"]),
        slower_ns=round(values.duration(slower, "--slower") * 1e9) if slower is not None else 0,
        typed=(*((name, ",".join(found[name])) for name in TYPED), ("slower", slower or "")),
        **others,
    )


def _read_exclude(given: dict[str, Any]) -> Filters | None:
    """`port=22,443`, `port=22,comm=kubelet`: a part without a key is of the key before it."""
    texts: dict[str, tuple[str, ...]] = {}
    for text in given.get("exclude", ()):
        key = ""
        for part in text.split(","):
            name, equals, value = part.partition("=")
            if equals:
                key = name.strip().lower()
            if not key or key not in KEYS:
                wrong = name if equals else part
                if not equals and wrong.strip().lower() in KEYS:
                    raise UsageError(
                        f"--exclude {wrong} has no value", "give it one, as in --exclude port=22"
                    )
                raise UsageError(
                    f"--exclude {wrong!r} is no filter with a value",
                    values.nearest(wrong, list(KEYS)) + " (as in port=22)",
                )
            if key == "kind" and "kind" not in given:
                raise UsageError(
                    "--exclude kind= has no use here: the command decides the kinds",
                    "leave it out, or use tcptrace events",
                )
            texts[key] = (*texts.get(key, ()), (value if equals else part).strip())
    if not texts:
        return None
    if set(values.split(texts.get("netns", ()))) & {"all"}:
        raise UsageError("--exclude netns=all leaves nothing", "name the ones to leave out")
    return _read(texts, "--exclude ", follow=given.get("follow", True))
