"""Columns that --help does not explain: of tcptrace's tables, where they are, and what they mean.

Those of the tables' help are told in tracer/views/meanings.py; keys of --by, which become columns,
by what the records' members say.
"""

from __future__ import annotations

_PEER = "the other side"
_NETNS = "inode of the network namespace: shown where there is more than one"
_LPORT = "the local port"

# by command, or place on the screen
COLUMNS: dict[str, dict[str, str]] = {
    "states": {
        "PID": "its number",
        "CONTAINER": "the container it runs in",
        "SYN_SENT": "sockets in that state now",
        "LISTEN": "listening sockets now",
        "TIME_WAIT": "sockets in that state now; not of a process any more",
        "COUNT": "how often, in the span",
        "IN FIRST STATE: p50": "half of them had been in the first state no longer",
        "p99": "99 of 100 had been in the first state no longer",
        "max": "the longest that one had been in the first state",
    },
    "events": {
        "TIME": "when it ended or was decided, local time; with --delta since the line before",
        "KIND": "kind of the record",
        "LOCAL": "this side: address and port",
        "REMOTE": _PEER,
        "PROCESS": "the owner, and how: (listener), (exited)",
        "EVENT": "what happened",
    },
    "accepts": {"PEER": _PEER, "NETNS": _NETNS},
    "handshakes": {
        "PEER": "active: address and port that was called; passive: who called",
        "REFUSED": "answered with a RST: nobody listens there",
        "RESET": "ended by a RST otherwise",
    },
    "connections": {
        "ENDED BY": "whose FIN came first, or what broke it off",
        "LADDR": "the local address",
        "LPORT": _LPORT,
        "OUT": "bytes sent, each counted once",
        "OUT/s": "bytes sent a second since the pass before",
        "MINRTT": "the shortest round trip of late",
        "MSS": "payload of a full segment",
        "UID": "the user who made the socket, or accepted it",
        "NETNS": _NETNS,
        "CONNS": "with --by: how many connections",
        "OLDEST": "with --by: age of the oldest",
    },
    "listeners": {
        "LISTENER": "address and port it listens on",
        "SYNQ": "half-open connections now",
        "LISTENERS": "with --by: how many listening sockets",
        "NETNS": _NETNS,
    },
    "drops": {"LPORT": _LPORT, "COUNT": "packets", "NETNS": _NETNS},
    "resets": {"COMM": "the name of that process", "COUNT": "RSTs", "NETNS": _NETNS},
    "ports": {"REMOTE": "where connections go, or may go"},
    "retransmits": {"PID": "of that process", "SEGS/s": "SEGS a second, over the span"},
    "top": {
        "PID": "its number",
        "OUT": "bytes of payload sent in the block",
        "OUT/s": "bytes of payload sent a second",
        "OPENED": "became ESTABLISHED in the block",
    },
    "counters": {
        "NETNS": _NETNS,
        "DEV": "the device",
        "QUEUE": "the device's queue, as rx-0",
        "CPU": "the CPU that counts",
    },
    "doctor": {
        "SUBJECT": "what is looked at",
        "STATUS": "works, degraded, impossible, unknown",
        "ATTACH": "how its programs are attached, and where",
        "CAPABILITY": "by the kernel's name",
        "HERE": "whether this process has it",
        "NEEDED": "yes: nothing goes without; for more: some things do not",
        "FOR": "what it is for",
    },
    "the screen": {
        "SEVERITY": "how bad a finding is: info, warn or crit",
        "RULE": "what kind of trouble it is: tcptrace explain findings lists them",
        "FINDING": "the trouble in a line; enter opens it",
        "ABOUT": "of a finding: the process, listener or destination that it is about",
        "SOCKS": "sockets of the process",
        "OPEN/s": "connections opened a second",
        "FAIL/s": "attempts to connect that came to nothing, a second",
        "CL_WAIT": "in CLOSE_WAIT: the peer has closed, the process has not",
        "TIME_W": "in TIME_WAIT",
        "QUEUE": "of its fullest listener: waiting for accept() / limit",
        "TROUBLE": "what is wrong with it, in a word or two",
        "ACCEPT QUEUE": "waiting for accept() / limit, as a bar and in numbers",
        "IN STATE": "how long it has been in its state",
        "RECVQ": "bytes that came and were not read",
        "SENDQ": "bytes written and not acknowledged",
        "WAITS FOR": "whose turn it is: what has to happen next",
        "DROP/s": "packets thrown away a second",
        "LAST FROM": "who sent the last of them",
        "LAST": "when the last of them was",
        "WHAT": "RST sent, RST received, or an error that an application was told of",
        "FROM": "what it came from",
        "/s": "a second, in the last interval",
        "SPAN": "how far it moved since the screen came up",
    },
    "any table": {
        "NETNS": _NETNS,
    },
}
# of --by
KEYS = (
    *("age", "answer", "answers", "by", "cgroup", "comm", "container", "cpu", "dev", "direction"),
    *("errno", "family", "laddr", "layer", "listener", "local", "location", "lport", "name"),
    *("netns", "owner_from", "peer", "pid", "queue", "raddr", "rate", "reason", "role", "rport"),
    *("rxq", "stage", "state", "type", "uid"),
)
