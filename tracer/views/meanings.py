"""What each column of each table means: for --help, without importing what draws them."""

from __future__ import annotations

_SPANS = {
    "MEAN": "their mean, exact",
    "p50": "half took no longer; quantiles are good to 6 %",
    "p90": "nine of ten took no longer",
    "p99": "99 of 100 took no longer",
    "p99.9": "999 of 1000 took no longer",
    "max": "the longest",
}
COLUMNS: dict[str, dict[str, str]] = {
    "states": {
        "PROCESS": "who answers for the sockets: who called connect() or accept(); until then the"
        " listener's owner. (unknown): mostly TIME_WAIT older than the tracer",
        "ESTAB": "ESTABLISHED now; so for the other states",
        "CLOSE_WAIT": "the peer has closed, this process has not: many and old ones are a leak",
        "OTHER": "in any state without a column",
        "OPENED": "connections begun in the span, by connect() or by a peer of a listener; of"
        " those that a child inherits, the parent opened and the child closes",
        "CLOSED": "connections that ended in the span and had been ESTABLISHED",
        "FAILED": "those of OPENED that ended before",
        "OLDEST": "how long the oldest socket has been in the most telling state; >= if it was"
        " there before the tracer",
        "TRANSITION": "from a state to the next, how often, and how long the first had lasted",
        "TIMED": "shown where some began before tracing: those that p50 and p99 are of",
    },
    "accepts": {
        "LISTENER": "the listening socket",
        "ACCEPTED BY": "the process that took the connections",
        "ACCEPTS": "connections taken",
        "TIMED": "shown where some are not: of which it is known how long they waited",
        "FAILED": "calls that took none for want of something, by errno; EAGAIN is no failure",
        **_SPANS,
    },
    "handshakes": {
        "ROLE": "active: connect() here; passive: a peer connected to a listener here",
        "TRIES": "attempts that ended in the span, and those that are pending",
        "OK": "became ESTABLISHED; so for REFUSED and RESET, by the answer that came",
        "NO_ANSWER": "the kernel or the application gave up with a SYN unanswered",
        "OTHER": "ended in another way, said below",
        "PENDING": "not decided yet",
        "p50": "of the OK ones: from SYN, passive from SYN-ACK, to the answer",
        "p99": _SPANS["p99"],
        "max": _SPANS["max"],
        "RTX": "SYNs or SYN-ACKs that had to be sent again",
    },
    "connections": {
        "ENDED": "when it came to CLOSE; ENDED BY: whose FIN came first, or what broke it off",
        "LIFE": "from ESTABLISHED to CLOSE, of an attempt from its first SYN; >= older than the"
        " tracer",
        "SHAKE": "how long its handshake took, passive from the SYN-ACK",
        "ACCEPT": "how long it waited for accept()",
        "STATE": "as `ss` has it; SYN_RECV: half-open. TIME_WAIT ones only with --state time-wait",
        "PROCESS": "who holds its descriptor; of several (+N) the oldest. (listener): waits for"
        " accept(). (orphan): closed here, and not yet over",
        "REMOTE": "the other end; < it began, > this end did, - not known",
        "AGE": "with --open: since ESTABLISHED, of an attempt since its first SYN; >= it carried"
        " data first so long ago or earlier",
        "IDLE": "since data was sent or received, or an ACK came",
        "RECV-Q": "bytes that came and were not read (`ss` counts a FIN as one more)",
        "SEND-Q": "bytes written and not acknowledged (`ss` counts a FIN as one more)",
        "IN": "bytes received; OUT: sent, each counted once",
        "IN/s": "bytes a second since the pass before; so for OUT/s",
        "NEW": "was not there at the pass before",
        "RTT": "smoothed round trip; MINRTT: the shortest of late",
        "CWND": "segments that may be under way",
        "RTX": "segments sent again",
        "LIMITED": "of the time with data to send: the share that the receiver's window or the"
        " own send buffer held it up",
        "CC": "congestion control",
        "FD": "the descriptor, in the process named",
    },
    "resets": {
        "DIRECTION": "sent by this machine, or received and heeded",
        "BY": "what it came from, said below",
        "REASON": "the kernel's own word for what it sends (since Linux 6.10)",
        "PID": "who answers for the socket; where there is none, who listens on the port or"
        " did within the last 10 minutes",
        "PEER": "the other end",
        "RATE/s": "a second, over the span",
        "SILENT": "half of their connections had carried nothing for no longer, to a tick of the"
        " kernel's (1 to 10 ms)",
    },
    "listeners": {
        "OWNER": "who accepted from it last, or opened it; +N: others hold it too",
        "QUEUE": "finished connections that wait for accept() now; SYNQ: half-open ones",
        "PEAK": "the most at any moment of the span",
        "MAX": "the limit; the accept queue holds one more",
        "SET BY": "what sets it: listen(backlog) or net.core.somaxconn, the smaller one",
        "FULL": "share of the span that the accept queue was full",
        "ACC/s": "connections accepted a second",
        "OVERFL": "how often the accept queue was found full",
        "DROPS": "SYNs and final ACKs thrown away, by cause below",
    },
    "retransmits": {
        "TYPE": "rto: a timer ran out, and nothing was heard meanwhile. slow_start: what follows on"
        " that as ACKs come. fast: ACKs told of the loss. tlp: a probe, as no ACK came. syn,"
        " synack: of a handshake",
        "COMM": "who answers for the socket; of a SYN-ACK the listener's owner",
        "PEER": "the other side, or its network with --by peer/24",
        "SEGS": "segments sent again, as the kernel's RetransSegs counts them",
        "BYTES": "of data in them",
        "LOST AGAIN": "of SEGS those that had been sent again before, and were lost too",
        "LAST RTO": "the timeout of the latest; doubled each time it runs out",
        "SHARE": "with --by netns: of the segments that the namespace sent (OutSegs)",
    },
    "drops": {
        "WHERE": "the layer that threw it away: device, qdisc, ip, netfilter, tcp or socket",
        "REASON": "of SYNs and final ACKs at a listener its cause, else the kernel's own reason;"
        " each is explained below the table",
        "AT": "the kernel's function that let go of it",
        "DEV": "the device that it came by, or was to leave by",
        "OWNER": "the process behind its socket, else behind the listener on the local port",
        "RATE/s": "a second, over the span",
    },
    "ports": {
        "LOCAL": "source address; REMOTE: where connections go. Each row has all ports for itself",
        "PROCESS": "who has the most of them, and how many others have some",
        "IN USE": "ports of ip_local_port_range with a connection, or an attempt",
        "TIME_WAIT": "those that a connection closed here first keeps for 60 s",
        "FREE": "the rest of OF",
        "OF": "ports of the range, less ip_local_reserved_ports and those somebody listens on",
        "USED": "share of OF that is in use or in TIME_WAIT",
        "OPEN/s": "connections begun a second",
        "OUT IN": "when no port is free if it goes on as in the span; -: it will not come to that",
        "FAILED": "connect() that found none: EADDRNOTAVAIL",
    },
    "top": {
        "PROCESS": "who answers for the connections, until accept() the listener's owner",
        "UNIT": "the container or systemd unit it runs in, by its control group",
        "OPEN": "ESTABLISHED to LAST_ACK at the block's end, as in the pass over the sockets"
        " there; attempts and TIME_WAIT left out",
        "OPEN/s": "became ESTABLISHED a second: new in a pass, or told as they ended",
        "IN/s": "bytes of payload a second, each counted once: what a connection's own count"
        " moved by between passes and, when it ended, up to its end, so short ones too; for OUT/s"
        " bytes sent",
        "IN": "those bytes in all of the block; so for OUT and OPENED",
        "ENDED": "ended in the block, having been ESTABLISHED",
        "FAIL": "told of as they ended: attempts that came to nothing, and connections that were"
        " reset, killed or timed out",
        "RETR": "of the segments sent in the block, those sent again",
        "RTT": "median of their smoothed round trips, of the open and the ended ones",
    },
    "counters": {
        "COUNTER": "as nstat, ip -s link and ethtool -S call it",
        "DELTA": "how far it moved in the block; - of what goes up and down, as TcpCurrEstab",
        "RATE/s": "DELTA by the time between the two readings of its namespace",
        "VALUE": "what it stands at; counters begin with their namespace, or device",
        "SOURCE": "snmp, snmp6, netstat: the protocols; dev: any device; nic: its driver's own;"
        " softnet: each CPU of the machine; conntrack: connection tracking",
        "MEANING": "in a sentence; on a terminal too narrow for it, below the table",
    },
}
LEGENDS = {
    "counters": "!: grows only where something is wrong. -: of nothing such, or not known: how far"
    " a device had counted before it came, or what fell, as when it was reset.",
}
LEGEND = (
    "!: worth a look. -: unknown, or none. a = b in the last lines: the kernel's own count and"
    " what was told; left over: what neither explains."
)


def columns(command: str) -> str:
    """The part of a command's help that explains its table."""
    meanings = COLUMNS[command]
    width = max(map(len, meanings))
    lines = ["Columns:"]
    for name, text in meanings.items():
        first, *rest = _wrapped(text, 74 - width)
        lines += [f"  {name:{width}} {first}", *(f"  {'':{width}} {more}" for more in rest)]
    return "\b\n" + "\n".join([*lines, *_wrapped(LEGENDS.get(command, LEGEND), 76)])


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
