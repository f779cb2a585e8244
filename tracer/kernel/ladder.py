"""Which programs to attach: of each subject asked for, the best rung this kernel takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tracer.errors import UnsupportedError
from tracer.kernel import ring, uring
from tracer.kernel.features import Choice, choose
from tracer.kernel.settings import Settings
from tracer.probes import (
    ACCEPT,
    ANSWER,
    COOKIES,
    DROP,
    ERROR,
    HANDSHAKE,
    REQUEST,
    RESET,
    RETRANSMIT,
    STATE,
    SYN_DROP,
    SYNACK,
    TASK,
    UNRECORDED,
    URING,
    Rung,
    Subject,
)
from tracer.probes.reset import RECEIVED

# what --attach can force -> Rung.how
ATTACH = {"fexit": "fexit", "raw": "raw_tp", "kprobe": "kprobe", "tracepoint": "tracepoint"}

NAMED_PROGRAMS = ("tt_cgroup_named",)
CGROUP_PROGRAMS = ("tt_cgroup_made", "tt_cgroup_gone")  # with --cgroup alone


@dataclass
class Ladder:
    """What was chosen: `programs`, how each subject is attached (`off`: not at all), notices.

    `takers` are those of the programs that take differences of the kernel's counters; `also` are
    programs and the targets they are attached to besides their own. The kernel takes those
    `on_tracepoints` off one after the other. `later` are the rungs of subjects that are off until
    they are asked for.
    """

    transport: str
    rungs: dict[str, str] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    takers: tuple[str, ...] = ()
    also: list[tuple[str, str]] = field(default_factory=list)
    on_tracepoints: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    later: dict[str, Rung] = field(default_factory=dict)
    drop_takes_acks: bool = False  # the program of `drop` has that part of `syn_drop`

    @property
    def sees_drops(self) -> bool:
        """Whether what listeners throw away is looked at."""
        return self.rungs.get("syn_drop", "off") != "off"

    def one_for_both(self) -> None:
        """Of two programs on one tracepoint leave out the one whose part the other can take."""
        self.programs.remove("tt_freed")
        self.takers = tuple(name for name in self.takers if name != "tt_freed")
        self.drop_takes_acks = True

    @property
    def sees_packets(self) -> bool:
        """Whether every packet that is thrown away is looked at."""
        return self.rungs.get("drop", "off") != "off"

    @property
    def may_see_drops(self) -> bool:
        """Whether it will be looked at once that is asked for."""
        return "syn_drop" in self.later

    @property
    def may_see_packets(self) -> bool:
        """Whether packets are looked at, or will be once that is asked for."""
        return self.sees_packets or "drop" in self.later

    @property
    def sees_accepts(self) -> bool:
        """Whether accepts are looked at."""
        return self.rungs.get("accept", "off") != "off"

    @property
    def sees_connects(self) -> bool:
        """Whether the ends of connect() are looked at."""
        return self.rungs.get("handshake", "off") != "off"

    @property
    def sees_resets(self) -> bool:
        """Whether it is looked at what ends connections: RSTs, or data that comes after close()."""
        return RECEIVED in self.programs

    @property
    def answers_apart(self) -> bool:
        """Whether RSTs without a connection are told by programs of their own."""
        return self.rungs.get(ANSWER.name, "off") == "fexit"

    @property
    def sees_cookies(self) -> bool:
        """Whether it is told which handshakes were finished by a SYN cookie."""
        return self.rungs.get("cookies", "off") != "off"

    @property
    def sees_unrecorded(self) -> bool:
        """Whether ends of handshakes that make no record are counted."""
        return self.rungs.get("unrecorded", "off") != "off"


def climb(settings: Settings) -> Ladder:
    """Choose. Where a subject has several rungs, this kernel is asked by trying.

    Errors: UnsupportedError where the rung or the transport asked for is refused.
    """
    ladder = Ladder(_transport(settings.transport))
    ladder.programs += NAMED_PROGRAMS
    if settings.filters.asks_cgroups:
        ladder.programs += CGROUP_PROGRAMS
    subjects = [STATE, TASK, ACCEPT]
    if "handshake" in settings.wanted:
        subjects += [HANDSHAKE, SYNACK, REQUEST, COOKIES]
        if settings.reconcile:
            subjects.append(UNRECORDED)
    if "retransmit" in settings.wanted:
        # one program tells of SYN-ACKs, whoever asks
        subjects += [RETRANSMIT] if SYNACK in subjects else [RETRANSMIT, SYNACK]
    if "syn_drop" in settings.wanted:
        subjects.append(SYN_DROP)
    if "reset" in settings.wanted or "connection" in settings.wanted:
        subjects.append(RESET)
    if "error" in settings.wanted:
        subjects.append(ERROR)
    if "drop" in settings.wanted:
        subjects.append(DROP)
    costs: dict[str, list[str]] = {}
    for subject in subjects:
        if subject in (ACCEPT, HANDSHAKE) and not settings.accept_hook:
            ladder.rungs[subject.name] = "off"
            ladder.notices.append(f"off: {subject.name} hook, so {subject.without}")
            continue
        if subject in (STATE, TASK):
            rung = subject.rungs[0]  # without them nothing is traced: let the kernel say why
        else:
            choice = _choose(subject, settings.attach)
            if choice.rung is None:
                ladder.rungs[subject.name] = "off"
                ladder.notices.append(_sentence(choice))
                continue
            rung = choice.rung
        if rung.costs:
            costs.setdefault(f"by {rung.how}, {rung.costs}", []).append(subject.name)
        ladder.rungs[subject.name] = rung.how
        # an iterator is run when it is wanted
        ladder.programs += rung.programs if rung.how != "iter" else ()
        if subject is RESET and "reset" not in settings.wanted:
            ladder.rungs[subject.name] = "off"
            ladder.programs = [p for p in ladder.programs if p not in rung.programs]
            ladder.programs.append(RECEIVED)
        ladder.also += rung.also
        if rung.how == "tracepoint":
            ladder.on_tracepoints += rung.programs
        if subject in (SYN_DROP, DROP):
            ladder.takers += rung.programs
    if ladder.rungs["accept"] == "tracepoint" and uring.form():
        # what accept() grafts is passed by io_uring too; system calls are not
        _add(ladder, _choose(URING, settings.attach))
    if ladder.rungs.get(RESET.name, "off") != "off":
        _add(ladder, choose(ANSWER))
    if ladder.sees_packets and "tt_freed" in ladder.programs:
        ladder.one_for_both()
    for subject in (SYN_DROP, DROP):
        if subject.name in settings.later - settings.wanted:
            _may_come(subject, settings, ladder)
    # the same cost is paid once, however many stand on it
    ladder.notices += [f"{' and '.join(names)}: {cost}" for cost, names in costs.items()]
    return ladder


def _add(ladder: Ladder, choice: Choice) -> None:
    """One subject more, which another one needs here; some of it may be there already."""
    ladder.rungs[choice.subject.name] = choice.rung.how if choice.rung else "off"
    if choice.rung:
        there = ladder.programs
        ladder.programs += [name for name in choice.rung.programs if name not in there]
    else:
        ladder.notices.append(_sentence(choice))


def _may_come(subject: Subject, settings: Settings, ladder: Ladder) -> None:
    choice = _choose(subject, settings.attach)
    ladder.rungs[subject.name] = "off"
    if choice.rung:
        ladder.later[subject.name] = choice.rung
    else:
        ladder.notices.append(_sentence(choice))


def _choose(subject: Subject, attach: str) -> Choice:
    asked_for = tuple(rung for rung in subject.rungs if rung.how == ATTACH.get(attach))
    choice = choose(replace(subject, rungs=asked_for or subject.rungs))
    if asked_for and choice.rung is None:
        (reason,) = choice.refused.values()
        raise UnsupportedError(
            f"--attach {attach}: {subject.name} cannot be attached so: {reason}",
            "leave it out; what can be attached how: tcptrace doctor",
        )
    return choice


def _sentence(choice: Choice) -> str:
    reasons = "; ".join(f"{how}: {reason}" for how, reason in choice.refused.items())
    return f"off: {choice.subject.name}, so {choice.subject.without} ({reasons})"


def _transport(asked: str) -> str:
    """`ring` or `perf`. Errors: UnsupportedError for a ring where there is none."""
    if asked == "perf":
        return asked
    if ring.is_possible():
        return "ring"
    if asked == "ring":
        raise UnsupportedError("this kernel has no BPF ring buffers", "leave --transport out")
    return "perf"
