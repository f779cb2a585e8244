"""What was told beside the kernel's own counters of the same span: the proof under a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from tracer.flows.drops import DROPS, Counters, Explained, Reading, reconcile


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
        self._first: Reading | None = None
        self._now: Reading | None = None

    def take(self, counters: Counters) -> None:
        """Take a reading: the first stands for the begin."""
        self._now = Reading(counters, {})
        self._first = self._first or self._now

    def edge(self, moved: Counters) -> None:
        """How far the counters of the last reading moved while its moment passed."""
        if self._now is not None:
            self._now.edge.update(moved)

    def proof(self, told: Counters, unsure: Counters | None = None) -> list[Explained]:
        """What moved, by their account and by ours.

        `unsure`: what is told of and may have been counted beyond an edge: told of as far as the
        kernel counted it.
        """
        if self._first is None or self._now is None or self._now is self._first:
            return []
        kernel, edge = self._now.since(self._first)
        if self._together:
            kernel, edge = _sum(kernel), _sum(edge)
        told = _with(told, unsure or {}, kernel)
        return list(reconcile(kernel, told, self._names, edge))

    def moved(self, name: str) -> dict[int, int]:
        """How far the kernel moved one counter, by namespace: those where it did."""
        if self._first is None or self._now is None or self._now is self._first:
            return {}
        kernel, _ = self._now.since(self._first)
        return {netns: values[name] for netns, values in kernel.items() if values.get(name)}

    def lines(
        self, told: Counters, wanted: Sequence[int], unsure: Counters | None = None
    ) -> list[str]:
        """The proof in words; none of a recording that has no readings.

        `wanted`: the namespaces asked for, none for all; `unsure` as for `proof`.
        """
        if self._first is None or self._now is None or self._now is self._first:
            return []
        lines = proof_lines(self.proof(told, unsure), self._names, self._beyond, self._short)
        ended = set(self._first.counters) - set(self._now.counters) if self._together else set()
        return lines + gone_lines(self._now.counters, told, wanted, self._names, ended)


def _with(told: Counters, unsure: Counters, kernel: Counters) -> Counters:
    """What is told, with as much of what is unsure as the kernel counted beyond that."""
    more = {netns: dict(counts) for netns, counts in told.items()}
    for netns, counts in unsure.items():
        here = more.setdefault(netns, {})
        for name, count in counts.items():
            ours = here.get(name, 0)
            here[name] = ours + max(0, min(count, kernel.get(netns, {}).get(name, 0) - ours))
    return more


def _sum(counters: Counters) -> Counters:
    """Of all namespaces at once, as of one called 0."""
    sums: Counter[str] = Counter()
    for values in counters.values():
        sums.update(values)
    return {0: dict(sums)}


def proof_lines(
    proof: list[Explained],
    names: Sequence[str] = ("ListenDrops",),
    beyond: Mapping[str, str] | None = None,
    short: Mapping[str, str] | None = None,
) -> list[str]:
    """One line for all namespaces, and one for each in which something is left over.

    Of counters that did not move the first of `names` is named alone.
    """
    sums: dict[str, list[int]] = {names[0]: [0, 0, 0]}
    for one in proof:
        all_three = sums.setdefault(one.counter, [0, 0, 0])
        for i, count in enumerate((one.kernel, one.explained, one.at_edges)):
            all_three[i] += count
    told = [_compare(name, *counts) for name, counts in sums.items()]
    left = sum(abs(one.unexplained) for one in proof)
    lines = [f"kernel, same span: {', '.join(told)}; left over {left}"]
    for one in proof:
        if one.unexplained:
            what = ((beyond if one.unexplained > 0 else short) or {}).get(one.counter, "")
            where = f"netns {one.netns}" if one.netns else "all network namespaces"
            lines.append(
                f"{where}: {one.counter} {one.kernel}, explained {one.explained}"
                f"{': ' if what else ''}{what}"
            )
    return lines


def _compare(name: str, kernel: int, ours: int, edges: int) -> str:
    """`ActiveOpens 875 = 857 + 18 at the edges`: while the span began and ended."""
    more = f" + {edges} at the edges" if edges else ""
    return f"{name} {kernel} {'=' if kernel == ours + edges else 'and'} {ours}{more}"


def gone_lines(
    kernel: Counters,
    told: Counters,
    wanted: Sequence[int],
    names: Sequence[str] = DROPS,
    ended: Collection[int] = (),
) -> list[str]:
    """What was told of namespaces whose counters went with them; `wanted`: all, if empty.

    `ended`: those known to have gone, whether anything is told of them or not.
    """
    gone, sums = set(ended), Counter[str]()
    for netns, values in told.items():
        if not netns or netns in kernel or (wanted and netns not in wanted):
            continue
        counts = {name: values[name] for name in names if values.get(name)}
        if counts:
            gone.add(netns)
            sums.update(counts)
    if not gone:
        return []
    many = "1 network namespace" if len(gone) == 1 else f"{len(gone)} network namespaces"
    its = "its" if len(gone) == 1 else "their"
    what = ", ".join(f"{name} {count}" for name, count in sums.items())
    return [
        f"{many} ended meanwhile, and the kernel's counters with"
        f" {'it' if len(gone) == 1 else 'them'}: {its} {what or 'share'} not compared"
    ]


def proof_document(one: Explained, moment: str) -> dict[str, object]:
    """A `reconciliation` record."""
    return {
        "ts": moment,
        "kind": "reconciliation",
        "netns": one.netns,
        "counter": one.counter,
        "kernel": one.kernel,
        "explained": one.explained,
        "edge": one.edge,
        "unexplained": one.unexplained,
    }


def lost_document(count: int, of: str, mono_ns: int, moment: str) -> dict[str, object]:
    """A `lost` record of what found no room to be counted in, and is in no other number."""
    return {
        "ts": moment,
        "mono_ns": mono_ns,
        "kind": "lost",
        "count": count,
        "why": "map",
        "of": of,
    }
