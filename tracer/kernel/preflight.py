"""What must be there before anything is loaded: BTF and capabilities, and what each is for."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from tracer.errors import NotPermittedError, TracerError, UnsupportedError

# include/uapi/linux/capability.h
CAPABILITIES = {
    "CAP_DAC_READ_SEARCH": 2,
    "CAP_IPC_LOCK": 14,
    "CAP_SYS_PTRACE": 19,
    "CAP_SYS_ADMIN": 21,
    "CAP_SYSLOG": 34,
    "CAP_PERFMON": 38,
    "CAP_BPF": 39,
}
# what looking at more than the own network namespace takes
NAMESPACES = {
    "CAP_SYS_ADMIN": "enter other network namespaces for snapshots",
    "CAP_SYS_PTRACE": "find the namespaces of other users' processes",
}
ADDRESSES = "know where the kernel's code lies: drops, listeners"


BTF = Path("/sys/kernel/btf/vmlinux")


@dataclass(frozen=True)
class Need:
    """A capability and what it is needed for; without one that is not `hard`, less is shown."""

    capability: str
    purpose: str
    hard: bool


def needs(by_bcc: bool = False) -> list[Need]:
    """The exact list for this machine."""
    # what tries the kernel is not loaded by those that only look
    from tracer.kernel import tracefs
    from tracer.kernel.features import choose
    from tracer.probes import ACCEPT

    listed = [
        Need("CAP_BPF", "load programs and maps", True),
        Need("CAP_PERFMON", "attach them, read their buffers", True),
    ]
    if by_bcc or not (BTF.exists() and {"CAP_BPF", "CAP_PERFMON"} <= effective() | _implied()):
        by_tracepoint = True  # cannot be tried: the worst case
    else:
        rung = choose(ACCEPT).rung
        by_tracepoint = rung is not None and rung.how == "tracepoint"
    if by_tracepoint:
        purpose = "read tracepoint numbers: the accept hook"
        listed.append(Need("CAP_DAC_READ_SEARCH", purpose, True))
        if not tracefs.is_mounted():
            purpose = "mount tracefs for itself: the accept hook"
            listed.append(Need("CAP_SYS_ADMIN", purpose, True))
    listed += [
        *(Need(name, purpose, False) for name, purpose in NAMESPACES.items()),
        Need("CAP_SYSLOG", ADDRESSES, False),
        Need("CAP_IPC_LOCK", "buffers above the mlock limit", False),
    ]
    return listed


def effective(proc: Path = Path("/proc")) -> set[str]:
    """The capabilities this process has, of those that matter here."""
    text = (proc / "self/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("CapEff:"))
    bits = int(line.split()[1], 16)
    return {name for name, bit in CAPABILITIES.items() if bits >> bit & 1}


def _implied() -> set[str]:
    """CAP_SYS_ADMIN implies both of those that were split off from it in v5.8."""
    return {"CAP_BPF", "CAP_PERFMON"} if "CAP_SYS_ADMIN" in effective() else set()


def check(accept_hook: bool = True, by_bcc: bool = False) -> None:
    """Refuse to start where it cannot work. Errors: UnsupportedError, NotPermittedError."""
    have = effective() | _implied()
    missing = [
        need
        for need in needs(by_bcc)
        if need.hard
        and need.capability not in have
        and (accept_hook or "accept hook" not in need.purpose)
    ]
    _refuse(missing, by_bcc)


def check_looking() -> None:
    """The same for a snapshot, which attaches nothing."""
    have = effective() | _implied()
    _refuse(
        [
            Need(name, purpose, True)
            for name, purpose in (("CAP_BPF", "load programs"), ("CAP_PERFMON", "run them"))
            if name not in have
        ]
    )


def hidden_addresses() -> TracerError:
    """What to say where /proc/kallsyms tells no addresses (kallsyms_show_value() in the kernel)."""
    if "CAP_SYSLOG" in effective():
        return UnsupportedError("the kernel hides its addresses", "sysctl kernel.kptr_restrict=1")
    return NotPermittedError(f"not permitted: this needs CAP_SYSLOG ({ADDRESSES})", _sudo_line())


def named(missing: list[Need]) -> str:
    """Capabilities, and what each is for."""
    return ", ".join(f"{need.capability} ({need.purpose})" for need in missing)


def not_permitted(missing: list[Need]) -> NotPermittedError:
    """What to say where these are missing: which, and the line to paste."""
    return NotPermittedError(f"not permitted: this needs {named(missing)}", _sudo_line())


def _refuse(missing: list[Need], by_bcc: bool = False) -> None:
    if missing:
        raise not_permitted(missing)
    if not by_bcc and not BTF.exists():
        raise UnsupportedError(
            f"this kernel has no BTF ({BTF} is missing), which the programs are fitted by",
            "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
        )


def _sudo_line() -> str:
    command = Path(sys.argv[0])
    name = str(command.resolve()) if command.exists() else "tcptrace"
    if command.name == "__main__.py":
        return shlex.join(["sudo", sys.executable, "-m", "tracer", *sys.argv[1:]])
    return shlex.join(["sudo", name, *sys.argv[1:]])
