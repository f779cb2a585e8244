"""Terms of the kernel's own: states, errors, reasons, counters, settings."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator

from tracer.explain.term import NO_SENTENCE, Kernel, Term
from tracer.views import counter_words
from tracer.views.schema_words import STATES as NUMBERED
from tracer.wire.reasons import REASONS
from tracer.words import counters, drops, resets, sysctls
from tracer.words.entry import Entry
from tracer.words.errnos import ERRNOS
from tracer.words.netstat import NETSTAT
from tracer.words.outcomes import RESENDS
from tracer.words.records import LAYERS
from tracer.words.states import STATES

DROP, SKB, RESET = "SKB_DROP_REASON_", "SKB_", "SK_RST_REASON_"
_DROP_SOURCE = "include/net/dropreason-core.h"
_RESET_SOURCE = "include/net/rstreason.h"
_PROTOCOL = re.compile(r"^(MPTcpExt|TcpExt|Tcp|IpExt|Ip6|Ip|Icmp6|IcmpMsg|Icmp|UdpLite6?|Udp6?)")
_EACH_DROP = ("tcptrace events --kind drop -d 10",)
_EACH_RESET = ("tcptrace events --kind reset -d 10",)


def states() -> Iterator[Term]:
    """By the kernel's numbers."""
    for number, name in enumerate(NUMBERED, 1):
        yield Term("states", name, STATES[name], number, keys=(f"TCP_{name}",))


def errnos() -> Iterator[Term]:
    """With this machine's numbers and the C library's words."""
    for name, entry in ERRNOS.items():
        number = getattr(errno, name)
        also = (*entry.also, os.strerror(number))
        yield Term("errnos", name, entry._replace(also=also), number)


def drop_reasons(kernel: Kernel) -> Iterator[Term]:
    """Those that are known, and others of the running kernel."""
    for name in dict.fromkeys((*REASONS, *kernel.drop_reasons)):
        yield Term("drop-reasons", name, _drop(name), keys=(DROP + name, SKB + name))


def _drop(name: str) -> Entry:
    known = REASONS.get(name)
    if known is None:
        return Entry(NO_SENTENCE, commands=("tcptrace drops -d 10",), source=_DROP_SOURCE)
    layer = LAYERS.get(known.layer)
    hint = drops.HINTS.get(name)
    if known.expected:
        hint = hint or counters.Hint("", drops.HARMLESS, ("tcptrace drops --all -d 10",))
    elif layer and not hint:
        hint = counters.Hint("", layer.look, layer.commands)
    hint = hint or counters.Hint("", "the function that let go of it: AT", _EACH_DROP)
    where = f" (layer: {known.layer})" if known.layer else ""
    return Entry(known.meaning + where, *hint, _DROP_SOURCE)


def reset_reasons(kernel: Kernel) -> Iterator[Term]:
    """Where a packet is answered they have the names of reasons to drop it."""
    for name in dict.fromkeys((*resets.REASONS, *resets.SHARED, *kernel.reset_reasons)):
        if name == "MAX":
            continue
        entry = resets.REASONS.get(name)
        if entry is None:
            drop, hint = REASONS.get(name), drops.HINTS.get(name)
            cause, look = (hint.cause, hint.look) if hint else ("", "")
            entry = Entry(drop.meaning if drop else NO_SENTENCE, cause, look, _EACH_RESET)
        commands, source = entry.commands or _EACH_RESET, entry.source or _RESET_SOURCE
        entry = entry._replace(commands=commands, source=source)
        yield Term("reset-reasons", name, entry, keys=(RESET + name,))


def counter_names() -> Iterator[Term]:
    """Those that have a sentence."""
    for name, (meaning, trouble) in counter_words.meanings().items():
        bare = _PROTOCOL.sub("", name)
        mark = "; worth a look if it grows" if trouble else ""
        yield Term("counter-names", name, _counter(name, meaning + mark), keys=(bare,))


def _counter(name: str, meaning: str) -> Entry:
    hint = counters.HINTS.get(name)
    prefix = max((one for one in counters.BY_PREFIX if name.startswith(one)), key=len)
    general = tuple(one.format(name=name) for one in counters.BY_PREFIX[prefix])
    if hint is None:
        return Entry(meaning, commands=general)
    commands = dict.fromkeys((*hint.commands, *general))
    return Entry(meaning, hint.cause, hint.look, tuple(commands))


def of_other_protocols(name: str) -> Term | None:
    """A counter that has its sentence from its kin: Ip6InReceives from IpInReceives."""
    # without a prefix it would be found under its own name
    if not _PROTOCOL.match(name):
        return None
    meaning = counter_words.meaning(name)
    return Term("counter-names", name, _counter(name, meaning)) if meaning else None


def netstat_lines() -> Iterator[Term]:
    """What each counts is the counter's own sentence."""
    for name, line in NETSTAT.items():
        meaning = f"the counter {name}: {counter_words.meaning(name)}"
        entry = _counter(name, meaning)
        yield Term("netstat-lines", line, entry._replace(source="netstat(8)"))


def settings() -> Iterator[Term]:
    """By their whole names; their last part finds them too."""
    for name, entry in sysctls.SYSCTLS.items():
        last = name.rpartition(".")[2]
        path = name.replace(".", "/")
        keys = (last, path, f"/proc/sys/{path}")
        shown = entry.commands or (f"sysctl {name}",)
        yield Term("sysctls", name, entry._replace(commands=shown), keys=keys)


def resent() -> Iterator[Term]:
    """Why a segment was sent again."""
    for name, entry in RESENDS.items():
        yield Term("retransmit-types", name, entry, where=("type",), keys=(f"type.{name}",))
