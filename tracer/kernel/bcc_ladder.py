"""What the BCC back end serves: fewer subjects, each with one rung that needs no BTF."""

from __future__ import annotations

import os
from dataclasses import replace

from tracer.errors import UnsupportedError
from tracer.kernel import maps
from tracer.kernel.features import BTF, why_not
from tracer.kernel.ladder import Ladder
from tracer.kernel.proc_passes import INITIAL_PIDS
from tracer.kernel.settings import Settings
from tracer.probes import ACCEPT, COOKIES, HANDSHAKE, OWNERS, REQUEST, SYN_DROP

SERVED = frozenset({"state", "accept", "handshake", "syn_drop"})
COMMAND = "all but `events`"
NEEDS_BTF = "needs BTF, which the bcc back end does without"
HINT = "give --backend core" if BTF.exists() else "use a kernel with CONFIG_DEBUG_INFO_BTF=y"
COSTS = "30 to 60 ns on every system call of the machine; --no-accept-hook turns it off"

MOST_CPUS = 512  # bpf/mib.h: TT_MOST_CPUS

# subject -> how, and the programs of bpf/tcptrace.bcc.c
_RUNGS = {
    "state": ("raw_tp", ("tt_state", "tt_state_nested", "tt_destroy")),
    "task": ("raw_tp", ("tt_fork", "tt_rename", "tt_exit", "tt_free")),
    "accept": ("tracepoint", ("tt_accept_exit",)),
    "handshake": ("tracepoint", ("tt_connect_exit",)),
    "synack": ("raw_tp", ("tt_synack_again",)),
    "syn_drop": ("raw_tp", ("tt_consumed", "tt_freed")),
}
_LOOKED_UP = "/proc,sock_diag"  # proc_passes.py
_ALSO = {"accept": [("tt_accept_exit", "syscalls/sys_exit_accept")]}


def serves(subject: str) -> str:
    """How a subject is served; empty: not."""
    return _LOOKED_UP if subject == OWNERS.name else _RUNGS.get(subject, ("",))[0]


def narrow(settings: Settings) -> tuple[Settings, list[str]]:
    """Settings as the back end serves them, and what is off. Errors: UnsupportedError."""
    asked = settings.filters.kinds - SERVED
    beyond = (
        (asked, f"--kind {','.join(sorted(asked))}"),
        (settings.filters.asks_cgroups, "--cgroup"),
        (settings.stacks, "--stack"),
        (settings.tell_forks, "a recording"),
        (settings.snapshots or settings.listen_stats, COMMAND),
        (settings.reconcile or not settings.stream, COMMAND),
    )
    for wanted, what in beyond:
        if wanted:
            raise _needs_btf(what)
    if os.stat("/proc/self/ns/pid").st_ino != INITIAL_PIDS:
        raise UnsupportedError(
            "without BTF nothing tells the PIDs of another PID namespace", "run it on the host"
        )
    off = settings.kinds - SERVED
    notices = []
    if off and not settings.filters.kinds:
        notices.append(f"off: {', '.join(sorted(off))}: each {NEEDS_BTF}")
    return replace(settings, kinds=settings.kinds & SERVED), notices


def climb_bcc(settings: Settings) -> Ladder:
    """Choose. Errors: UnsupportedError where the rung or the transport asked for is refused."""
    if settings.transport == "ring":
        raise UnsupportedError(
            "--transport ring: records come through perf buffers here", "leave --transport out"
        )
    if settings.attach == "fexit":
        raise _needs_btf("--attach fexit")
    ladder = Ladder("perf")
    subjects = ["state", "task", "accept"]
    if "handshake" in settings.wanted:
        subjects += ["handshake", "synack"]
        ladder.notices.append(f"off: {REQUEST.name}, so {REQUEST.without}; it {NEEDS_BTF}")
        ladder.notices.append(f"off: {COOKIES.name}, so {COOKIES.without}; it {NEEDS_BTF}")
    if "syn_drop" in settings.wanted:
        subjects.append("syn_drop")
    for name in subjects:
        how, programs = _RUNGS[name]
        if how == "tracepoint" and not settings.accept_hook:
            ladder.rungs[name] = "off"
            without = (ACCEPT if name == "accept" else HANDSHAKE).without
            ladder.notices.append(f"off: {name} hook, so {without}")
            continue
        if name == "syn_drop" and not _looks_at_drops(ladder):
            continue
        ladder.rungs[name] = how
        ladder.programs += programs
        ladder.also += _ALSO.get(name, [])
        if how == "tracepoint":
            ladder.on_tracepoints += programs
        if name == "syn_drop":
            ladder.takers += programs
    if ladder.on_tracepoints:
        names = " and ".join(name for name in ("accept", "handshake") if name in subjects)
        ladder.notices.append(f"{names}: by tracepoint, {COSTS}")
    return ladder


def _looks_at_drops(ladder: Ladder) -> bool:
    """Whether dropped SYNs can be told; else it is said why not."""
    rung = SYN_DROP.rungs[-1]
    # what can be attached is read from BTF where it is; else the kernel says so as it is attached
    why = why_not(rung) if BTF.exists() else ""
    if maps.possible_cpus() > MOST_CPUS:
        why = f"more than {MOST_CPUS} CPUs"
    if why:
        ladder.rungs[SYN_DROP.name] = "off"
        ladder.notices.append(f"off: {SYN_DROP.name}, so {SYN_DROP.without} ({why})")
    else:
        ladder.notices.append(f"{SYN_DROP.name}: by {rung.how}, {rung.costs}")
    return not why


def _needs_btf(what: str) -> UnsupportedError:
    return UnsupportedError(f"{what} {NEEDS_BTF}", HINT)
