"""All rules, and what each needs to be looked at; the order of findings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tracer.advice import (
    accept_queue,
    close_wait_leak,
    conntrack,
    descriptors,
    dropped_here,
    ephemeral_ports,
    failed_connects,
    held_back,
    idle_timeout,
    keepalive,
    lingering,
    listener_gap,
    lost_before,
    not_reading,
    packet_filter,
    receive_buffer,
    resets,
    retransmits,
    syn_queue,
    time_wait,
)
from tracer.advice.evidence import Evidence
from tracer.advice.finding import SEVERITIES, Finding


@dataclass(frozen=True)
class Rule:
    """`needs` is of Evidence.has, `looks` are two at connections; `watches`: it needs a span."""

    name: str
    needs: str
    find: Callable[[Evidence], list[Finding]]
    watches: bool = False


RULES = (
    Rule("close-wait-leak", "connections", close_wait_leak.find),
    Rule("accept-queue-full", "listeners", accept_queue.find),
    Rule("syn-queue-full", "listeners", syn_queue.find, watches=True),
    Rule("descriptors", "listeners", descriptors.find),
    Rule("not-reading", "looks", not_reading.find, watches=True),
    Rule("held-back", "looks", held_back.find, watches=True),
    Rule("receive-buffer", "looks", receive_buffer.find, watches=True),
    Rule("keepalive", "connections", keepalive.find),
    Rule("idle-timeout", "resets", idle_timeout.find, watches=True),
    Rule("fin-wait2", "looks", lingering.find, watches=True),
    Rule("listener-gap", "gaps", listener_gap.find, watches=True),
    Rule("ephemeral-ports", "ports", ephemeral_ports.find),
    Rule("failed-connects", "handshakes", failed_connects.find, watches=True),
    Rule("resets", "resets", resets.find, watches=True),
    Rule("retransmits", "counters", retransmits.find, watches=True),
    Rule("dropped-here", "counters", dropped_here.find, watches=True),
    Rule("lost-before", "devices", lost_before.find, watches=True),
    Rule("packet-filter", "filters", packet_filter.find, watches=True),
    Rule("time-wait", "settings", time_wait.find),
    Rule("conntrack", "settings", conntrack.find),
)


@dataclass(frozen=True)
class Advice:
    """Findings, the worst first; rules that found nothing; those without evidence; what else is not
    known, in words.
    """

    findings: tuple[Finding, ...]
    quiet: tuple[str, ...]
    blind: tuple[str, ...]
    unseen: tuple[str, ...] = ()


def judge(evidence: Evidence) -> Advice:
    """Ask every rule that there is evidence for."""
    found: list[Finding] = []
    quiet, blind = [], []
    for rule in RULES:
        if rule.needs not in evidence.has or (rule.watches and evidence.span_s is None):
            blind.append(rule.name)
            continue
        its_own = rule.find(evidence)
        found += its_own
        if not its_own:
            quiet.append(rule.name)
    found.sort(key=lambda one: -SEVERITIES.index(one.severity))
    unseen = evidence.unseen + _uncounted(evidence)
    return Advice(tuple(found), tuple(quiet), tuple(blind), unseen)


def _uncounted(evidence: Evidence) -> tuple[str, ...]:
    """Rules of packet filters that refused packets or did not: nobody can say."""
    return tuple(
        f"packet-filter in {one.name}: rules that refuse and do not count, {len(silent)}"
        for one in evidence.filtered
        if (silent := packet_filter.uncounted(one))
    )
