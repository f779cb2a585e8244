"""What was told beside the kernel's own counters of the same span: the proof under a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tracer.flows.drops import Counters, Explained, minus, reconcile


class Witness:
    """The kernel's counters since the session's begin; None before they were read twice.

    `beyond` says what is left over of a counter that tells of more than there are records of,
    `short` of one that tells of less. `together`: of all namespaces at once, as one called 0, where
    what is told does not say of which it is.
    """

    def __init__(
        self,
        names: Sequence[str],
        beyond: Mapping[str, str] | None = None,
        short: Mapping[str, str] | None = None,
        together: bool = False,
    ) -> None:
        self._names, self._beyond, self._short = names, beyond or {}, short or {}
        self._together = together
        self._first: Counters | None = None
        self._now: Counters | None = None

    def take(self, counters: Counters) -> None:
        """Take a reading: the first stands for the begin."""
        if self._together:
            sums: Counter[str] = Counter()
            for values in counters.values():
                sums.update(values)
            counters = {0: dict(sums)}
        if self._first is None:
            self._first = counters
        self._now = counters

    def proof(self, told: Counters) -> list[Explained]:
        """What moved, by their account and by ours."""
        if self._first is None or self._now is None:
            return []
        return list(reconcile(minus(self._now, self._first), told, self._names))

    def lines(self, told: Counters, wanted: Sequence[int]) -> list[str]:
        """The proof in words; none of a recording that has no readings.

        `wanted`: the namespaces asked for, none for all.
        """
        if self._first is None or self._now is None:
            return []
        lines = proof_lines(self.proof(told), self._names, self._beyond, self._short)
        return lines + gone_lines(self._now, told, wanted)


def proof_lines(
    proof: list[Explained],
    names: Sequence[str] = ("ListenDrops",),
    beyond: Mapping[str, str] | None = None,
    short: Mapping[str, str] | None = None,
) -> list[str]:
    """One line for all namespaces, and one for each in which something is left over.

    Of counters that did not move the first of `names` is named alone.
    """
    sums: dict[str, list[int]] = {names[0]: [0, 0]}
    for one in proof:
        both = sums.setdefault(one.counter, [0, 0])
        both[0] += one.kernel
        both[1] += one.explained
    pairs = [
        f"{name} {kernel} {'=' if kernel == ours else 'and'} {ours}"
        for name, (kernel, ours) in sums.items()
    ]
    left = sum(abs(one.unexplained) for one in proof)
    lines = [f"kernel, same span: {', '.join(pairs)}; left over {left}"]
    for one in proof:
        if one.unexplained:
            what = ((beyond if one.unexplained > 0 else short) or {}).get(one.counter, "")
            where = f"netns {one.netns}" if one.netns else "all network namespaces"
            lines.append(
                f"{where}: {one.counter} {one.kernel}, explained {one.explained}"
                f"{': ' if what else ''}{what}"
            )
    return lines


def gone_lines(kernel: Counters, told: Counters, wanted: Sequence[int]) -> list[str]:
    """Namespaces with something told whose counters went with them; `wanted`: all, if empty."""
    gone = [
        netns
        for netns, values in told.items()
        if netns and netns not in kernel and any(values.values()) and netns in (wanted or told)
    ]
    if not gone:
        return []
    many = "1 network namespace" if len(gone) == 1 else f"{len(gone)} network namespaces"
    return [f"not compared: {many} that ended meanwhile, with the kernel's counters"]


def proof_document(one: Explained, moment: str) -> dict[str, object]:
    """A `reconciliation` record."""
    return {
        "ts": moment,
        "kind": "reconciliation",
        "netns": one.netns,
        "counter": one.counter,
        "kernel": one.kernel,
        "explained": one.explained,
        "unexplained": one.unexplained,
    }
