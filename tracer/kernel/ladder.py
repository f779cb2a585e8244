"""Which programs to attach: of each subject asked for, the best rung this kernel takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracer.kernel.features import choose
from tracer.kernel.settings import Settings
from tracer.probes import ACCEPT, HANDSHAKE, STATE, SYN_DROP, SYNACK, TASK, Rung, Subject


@dataclass
class Ladder:
    """What was chosen: `programs`, how each subject is attached (`off`: not at all), notices."""

    rungs: dict[str, str] = field(default_factory=dict)
    programs: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    @property
    def sees_drops(self) -> bool:
        """Whether what listeners throw away is looked at."""
        return self.rungs.get("syn_drop", "off") != "off"

    @property
    def sees_connects(self) -> bool:
        """Whether the ends of connect() are looked at."""
        return self.rungs.get("handshake", "off") != "off"


def climb(settings: Settings) -> Ladder:
    """Choose. Where a subject has several rungs, this kernel is asked by trying."""
    ladder = Ladder()
    subjects = [STATE, TASK, ACCEPT]
    if "handshake" in settings.wanted:
        subjects += [HANDSHAKE, SYNACK]
    if "syn_drop" in settings.wanted:
        subjects.append(SYN_DROP)
    costs: dict[str, list[str]] = {}
    for subject in subjects:
        rung: Rung | None = subject.rungs[0]
        if subject in (ACCEPT, HANDSHAKE) and not settings.accept_hook:
            rung = None
            ladder.notices.append(f"off: {subject.name} hook, so {subject.without}")
        elif subject not in (STATE, TASK):
            rung = _try(subject, ladder)
            if rung and rung.costs:
                costs.setdefault(f"by {rung.how}, {rung.costs}", []).append(subject.name)
        ladder.rungs[subject.name] = rung.how if rung else "off"
        ladder.programs += rung.programs if rung else ()
    # the same cost is paid once, however many stand on it
    ladder.notices += [f"{' and '.join(names)}: {cost}" for cost, names in costs.items()]
    return ladder


def _try(subject: Subject, ladder: Ladder) -> Rung | None:
    choice = choose(subject)
    if choice.rung is None:
        ladder.notices.append(f"{subject.name} is impossible here: {choice.refused}")
    return choice.rung
