"""What the BCC back end serves: fewer subjects, by rungs that need no BTF."""

from __future__ import annotations

import os
from dataclasses import replace

from tracer.errors import NotPermittedError, UnsupportedError
from tracer.kernel import maps, perf, tracefs
from tracer.kernel.features import missing_helper, why_not
from tracer.kernel.ladder import ATTACH, Ladder
from tracer.kernel.preflight import BTF
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
}
_DROPS = {rung.how: rung for rung in SYN_DROP.rungs if rung.how in ("raw_tp", "kprobe")}
_FREED = "skb/consume_skb"
_LOOKED_UP = "/proc,sock_diag"  # proc_passes.py
_ALSO = {"accept": [("tt_accept_exit", "syscalls/sys_exit_accept")]}


def serves(subject: str) -> tuple[str, str]:
    """How a subject is served, and why not if that is empty."""
    if subject == SYN_DROP.name:
        return _how_drops_are_seen()
    how = _LOOKED_UP if subject == OWNERS.name else _RUNGS.get(subject, ("",))[0]
    return how, "" if how else "needs BTF"


def narrow(settings: Settings) -> tuple[Settings, list[str]]:
    """Settings as the back end serves them, and what is off. Errors: UnsupportedError."""
    asked = settings.filters.kinds - SERVED
    beyond = (
        (asked, f"--kind {','.join(sorted(asked))}"),
        (settings.filters.asks_cgroups, "--cgroup"),
        (settings.stacks or settings.made, "--stack"),
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
        raise _needs_btf(f"--attach {settings.attach}")
    if settings.attach == "kprobe" and SYN_DROP.name not in settings.wanted:
        raise UnsupportedError(
            "--attach kprobe: through BCC dropped SYNs alone are seen so", "add: --kind syn_drop"
        )
    ladder = Ladder("perf")
    subjects = ["state", "task", "accept"]
    if "handshake" in settings.wanted:
        subjects += ["handshake", "synack"]
        ladder.notices.append(f"off: {REQUEST.name}, so {REQUEST.without}; it {NEEDS_BTF}")
        ladder.notices.append(f"off: {COOKIES.name}, so {COOKIES.without}; it {NEEDS_BTF}")
    if "syn_drop" in settings.wanted:
        subjects.append("syn_drop")
    for name in subjects:
        if name == SYN_DROP.name:
            _look_at_drops(ladder, settings.attach)
            continue
        how, programs = _RUNGS[name]
        if how == "tracepoint" and not settings.accept_hook:
            ladder.rungs[name] = "off"
            without = (ACCEPT if name == "accept" else HANDSHAKE).without
            ladder.notices.append(f"off: {name} hook, so {without}")
            continue
        ladder.rungs[name] = how
        ladder.programs += programs
        ladder.also += _ALSO.get(name, [])
        if how == "tracepoint":
            ladder.on_tracepoints += programs
    if ladder.on_tracepoints:
        names = " and ".join(name for name in ("accept", "handshake") if name in subjects)
        ladder.notices.append(f"{names}: by tracepoint, {COSTS}")
    return ladder


def _look_at_drops(ladder: Ladder, attach: str) -> None:
    """Have dropped SYNs told, as asked for; or it is said why they cannot be."""
    asked = ATTACH.get(attach, "")
    how, why = _how_drops_are_seen(asked if asked in _DROPS else "")
    if why and asked in _DROPS:
        raise UnsupportedError(
            f"--attach {attach}: {SYN_DROP.name} cannot be attached so: {why}", "leave it out"
        )
    if why:
        ladder.rungs[SYN_DROP.name] = "off"
        ladder.notices.append(f"off: {SYN_DROP.name}, so {SYN_DROP.without} ({why})")
        return
    rung = _DROPS[how]
    ladder.rungs[SYN_DROP.name] = how
    ladder.programs += rung.programs
    ladder.takers += rung.programs
    ladder.also += rung.also
    ladder.notices.append(f"{SYN_DROP.name}: by {how}, {rung.costs}")


def _how_drops_are_seen(asked: str = "") -> tuple[str, str]:
    """By which rung, and why not by any; or not by the one that is asked for."""
    if maps.possible_cpus() > MOST_CPUS:
        return "", f"more than {MOST_CPUS} CPUs"
    # what can be attached is read from BTF where it is
    if BTF.exists():
        refused = {how: why_not(rung) for how, rung in _DROPS.items()}
    else:
        lacks = missing_helper("map_lookup_percpu_elem")  # bpf/mib.h: since Linux 5.19
        refused = {
            "raw_tp": lacks or _why_not_where_freed(),
            "kprobe": lacks or _why_no_kprobes(),
        }
    if asked:
        return "" if refused[asked] else asked, refused[asked]
    how = next((how for how, why in refused.items() if not why), "")
    return how, "" if how else "; ".join(f"{how}: {why}" for how, why in refused.items())


def _why_not_where_freed() -> str:
    """Without BTF the tracepoint's own description says what it tells."""
    found: list[str] = []
    try:
        tracefs.reach(lambda: found.append((tracefs.event(_FREED) / "format").read_text()))
    except (OSError, NotPermittedError):
        return ""  # the kernel says it as the program is attached
    return "" if " location;" in found[0] else f"consume_skb {_DROPS['raw_tp'].blind}"


def _why_no_kprobes() -> str:
    return "" if perf.KPROBES.exists() else "this kernel has no kprobes"


def _needs_btf(what: str) -> UnsupportedError:
    return UnsupportedError(f"{what} {NEEDS_BTF}", HINT)
