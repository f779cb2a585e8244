"""Attempts to connect that came to nothing, by process and peer, by what was seen on the wire."""

from __future__ import annotations

from collections.abc import Callable

from tracer.advice.evidence import Attempted, Evidence
from tracer.advice.finding import CRIT, WARN, Finding, Number

LEAST = 3  # fewer may be one restart on the other side
SHARE = 0.1  # of the attempts
Words = Callable[[Attempted], str | tuple[str, ...]]
# what the application does by itself (aborted) is no failure; ports have a rule of their own
FAILURES = ("refused", "timeout", "gave_up", "unreachable", "reset", "denied")


def find(evidence: Evidence) -> list[Finding]:
    """One finding for each process and peer where attempts fail."""
    return [_tell(one, evidence) for one in evidence.attempted if _is_bad(one)]


def _failed(one: Attempted) -> int:
    return sum(one.outcomes.get(name, 0) for name in FAILURES)


def _is_bad(one: Attempted) -> bool:
    failed = _failed(one)
    return failed >= LEAST and failed >= SHARE * sum(one.outcomes.values())


def _tell(one: Attempted, evidence: Evidence) -> Finding:
    failed, ended = _failed(one), sum(one.outcomes.values())
    usual = max(FAILURES, key=lambda name: one.outcomes.get(name, 0))
    meaning, fix, risk = _WORDS[usual]
    numbers: dict[str, Number] = {name: one.outcomes.get(name, 0) for name in ("ok", *FAILURES)}
    numbers |= {"attempts": ended, "failed": failed, "syns_sent_again": one.again}
    told = ", ".join(f"{one.outcomes[name]} {name}" for name in FAILURES if name in one.outcomes)
    return Finding(
        "failed-connects",
        CRIT if failed == ended else WARN,
        f"{one.owner.name} -> {one.peer}",
        f"{failed} of {ended} attempts to connect failed {evidence.span}",
        f"{told}; {one.again} SYNs sent again",
        meaning,
        tuple(line.format(host=one.host, port=one.port) for line in fix),
        risk,
        (
            f"tcptrace handshakes --rport {one.port} --raddr {one.host} --by peer",
            f"tcptrace events --failed --rport {one.port} --raddr {one.host}",
        ),
        numbers,
        one.owner.pid,
        one.owner.comm,
        one.netns,
    )


_LOOKS = "none, these look"
_WORDS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "refused": (
        "an RST came at once: the way there works, and nobody listens on that port (ECONNREFUSED)",
        (
            "over there: ss -ltnp 'sport = :{port}', and whether it listens on that address or on"
            " 127.0.0.1 alone",
            "a firewall that rejects answers alike: nft list ruleset, for `reject`",
        ),
        _LOOKS,
    ),
    "timeout": (
        "nothing came back, however often it was asked (ETIMEDOUT): packets are dropped, there or"
        " on the way, or the host is gone",
        (
            "over there: tcptrace listeners --lport {port} -d 10, a full queue drops SYNs silently",
            "whether SYNs arrive: tcpdump -ni any 'tcp port {port} and tcp[13] & 2 != 0' on both"
            " sides; a firewall that drops answers nothing",
        ),
        _LOOKS,
    ),
    "gave_up": (
        "the program's own limit of time ended them before an answer came; to the kernel they are"
        " no failure, and no counter has them",
        (
            "over there: tcptrace listeners --lport {port} -d 10, a full queue drops SYNs silently",
            "a limit below 1 s is shorter than the first SYN sent again: one lost packet fails it",
        ),
        "a longer limit holds threads and requests for as long",
    ),
    "unreachable": (
        "there is no way there, or a router, or the host itself, said so by ICMP",
        (
            "ip route get {host}",
            "ip neigh show {host}: FAILED is a host that does not answer ARP",
        ),
        _LOOKS,
    ),
    "reset": (
        "the peer, or something between, answered and broke it off: a proxy without a backend, a"
        " listener that was closed, a firewall",
        ("over there: tcptrace resets --lport {port} -d 10",),
        _LOOKS,
    ),
    "denied": (
        "this host does not let it (EPERM, EACCES): a firewall's output rules, a security module,"
        " or a BPF program of the control group",
        (
            "nft list ruleset, for output; ausearch -m avc; bpftool cgroup tree",
            "over a network namespace's edge: the rules of both",
        ),
        "what is opened there is open for all that the rule covers",
    ),
}
