"""JSON Schema of every record: what each member is, in which unit, and when it is null."""

from __future__ import annotations

from tracer.views import schema_resent, schema_reset
from tracer.views.schema_advice import FINDING
from tracer.views.schema_connection import CONNECTION
from tracer.views.schema_drop import BY, DEVICE_DROP, DROP, DROP_SUMMARY
from tracer.views.schema_groups import DROPS_BY_CAUSE, GROUP_KEYS, GROUPS
from tracer.views.schema_ports import PORT_USE
from tracer.views.schema_rates import CARRIED, COUNTER
from tracer.views.schema_term import TERM
from tracer.views.schema_words import STATES, Schema
from tracer.views.schema_words import at_least as _at_least
from tracer.views.schema_words import cookie as _cookie
from tracer.views.schema_words import count as _count
from tracer.views.schema_words import counts as _counts
from tracer.views.schema_words import flag as _flag
from tracer.views.schema_words import moment as _moment
from tracer.views.schema_words import number as _number
from tracer.views.schema_words import of as _of
from tracer.views.schema_words import one_of as _one_of
from tracer.views.schema_words import spread as _spread
from tracer.views.schema_words import text as _text
from tracer.views.schema_words import traced as _traced

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
OUTCOMES = (
    *("unknown", "ok", "refused", "reset", "timeout", "gave_up", "unreachable", "no_port"),
    *("denied", "aborted", "syn_ack_timeout", "queue_full"),
)
CAUSES = (
    *("accept_queue_full", "syn_queue_full", "syn_queue_reserve", "memory", "route", "lsm"),
    "other",
)


_PORT = {"type": ["integer", "null"], "minimum": 1, "maximum": 65535}
_HEAD: Schema = {
    "ts": _moment("when it ended or was decided, UTC"),
    "mono_ns": _count("the moment of `ts` on CLOCK_MONOTONIC, ns"),
    "cookie": _cookie(
        "the socket, as `ss -e` prints it after sk:; from 8000000000000000 on a number of our own,"
        " where it had none (--backend bcc)"
    ),
    "pid": _count("the owner, in the tracer's PID namespace", null=True),
    "comm": _text("the owner's name", null=True),
    "owner_is": _one_of(
        "how that owner is one", "process", "listener", "kernel", "exited", "unknown"
    ),
    "oncpu_pid": _count("who happened to run on the CPU, in the tracer's PID namespace", null=True),
    "family": {"enum": [0, 4, 6], "description": "of the packets; 0: not known"},
    "laddr": _text("local address; v4-mapped ones as IPv4"),
    "lport": _PORT | {"description": "local port"},
    "raddr": _text("remote address"),
    "rport": _PORT | {"description": "remote port"},
    "netns": _count("inode of the network namespace"),
    "cgroup": _text("path of the owner's control group", null=True),
    "cgroup_id": _count("id of the owner's control group", null=True),
    "container": _text("the container that the path of the control group names", null=True),
}
_LISTENER: Schema = {
    "listener_addr": _text("address that the listener listens on", null=True),
    "listener_port": _PORT | {"description": "the listener's port"},
    "listener_pid": _count("the listener's owner", null=True),
    "listener_comm": _text("the name of the listener's owner", null=True),
    "listener_cookie": _cookie("the listening socket"),
}
_ERRNO = _of(["string", "null"], "by name, null for none", pattern="^E[A-Z0-9]+$")
_EVENTS: dict[str, Schema] = {
    "state": {
        "old": _one_of("the state it left", *STATES),
        "new": _one_of("the state it entered, in the kernel's account", *STATES),
        "dwell_us": _number("time in `old`; null if that began before tracing", null=True),
        "dwell_at_least_us": _number(
            "a lower bound of the time in `old`, if that began before tracing", null=True
        ),
        "timewait": _one_of("the mini-socket that took over", "TIME_WAIT", "FIN_WAIT2", None),
    },
    "accept": {
        "wait_us": _number("from finished to returned by accept()", null=True),
        "wait_at_least_us": _number(
            "a lower bound of the wait, if it began before tracing", null=True
        ),
        "established": _moment("when the handshake was finished", null=True),
        "handshake_us": _number("how long the handshake took", null=True),
        "accept_queue": _count("left in the accept queue after it", null=True),
        "accept_queue_max": _count("limit of the accept queue, which holds one more", null=True),
        "errno": _ERRNO,
        **_LISTENER,
        "precision": _one_of("how the moment of accept() is known", "exact", "first_io"),
    },
    "handshake": {
        "role": _one_of("who began it: this side, or the peer", "active", "passive"),
        "outcome": _one_of("how the attempt ended", *OUTCOMES),
        "latency_us": _number("from `latency_from` to the answer", null=True),
        "latency_at_least_us": _number(
            "a lower bound of the latency, if it began before tracing", null=True
        ),
        "latency_from": _one_of("what the latency counts from", "syn", "synack", None),
        "rtt_us": _number("the kernel's first measure", null=True),
        "syn_sent": _count("SYNs or SYN-ACKs sent"),
        "syn_retransmits": _count("SYNs or SYN-ACKs sent again"),
        "errno": _ERRNO,
        "syncookie": _flag("finished by a SYN cookie; null: not known", null=True),
        "local_reason": _text("a drop seen here that befell it", null=True),
        "listener_cookie": _cookie("passive: the listening socket"),
    },
    "syn_drop": {
        "cause": _one_of("why the listener threw it away", *CAUSES),
        "stage": _one_of("which packet of the handshake", "syn", "ack"),
        "answer": _one_of("what the client was sent back", "none", "rst", "cookie"),
        "accept_queue": _count("depth of the accept queue at that moment", null=True),
        "accept_queue_max": _count("limit of the accept queue, which holds one more", null=True),
        "syn_queue": _count("half-open ones at that moment", null=True),
        "syn_queue_max": _count("limit of half-open ones", null=True),
        "count": _count("packets this record stands for"),
        **_LISTENER,
    },
    "reset": schema_reset.RESET,
    "error": schema_reset.ERROR,
    "retransmit": schema_resent.RETRANSMIT,
    "drop": DROP,
}
_LOST: Schema = {
    "ts": _moment("when it was noticed, UTC"),
    "mono_ns": _count("the moment of `ts` on CLOCK_MONOTONIC, ns"),
    "count": _count("records lost, or counts"),
    "why": _one_of("why they were lost", "buffer", "missed", "map", "limited", "late"),
    "of": _text(
        "kind of the records, the program that was skipped, or the kernel's counter whose share"
        " found no room"
    ),
}
_SUMMARY: Schema = {
    "ts": _moment("the block's end, UTC"),
    "span_us": _count("length of the block"),
    "total": _flag("whether it covers the whole session"),
}
_PROCESS: Schema = {"pid": _HEAD["pid"], "comm": _HEAD["comm"]}
_SUMMARIES: dict[str, Schema] = {
    "state_summary": {
        **_PROCESS,
        "container": _HEAD["container"],
        "now": _counts("sockets by state"),
        "unaccepted": _counts("of `now`, not accepted yet"),
        "oldest_us": _counts("age of the oldest in each state, where that is known"),
        "oldest_at_least_us": _counts("a lower bound of it, where it began before tracing"),
        "transitions": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "old": _EVENTS["state"]["old"],
                    "new": _EVENTS["state"]["new"],
                    "timewait": _EVENTS["state"]["timewait"],
                    "count": _count("how often that happened"),
                    "dwell_us": _spread("time in `old`, of those with a known one"),
                    **_at_least("dwell"),
                },
                "required": [
                    *("old", "new", "timewait", "count"),
                    *("dwell_us", "dwell_at_least_count", "dwell_at_least_us"),
                ],
                "additionalProperties": False,
            },
        },
        "opened": _count("connections begun in the span; null: not traced", null=True),
        "closed": _count("ended, having been ESTABLISHED; null: not traced", null=True),
        "failed": _count("ended before; null: not traced", null=True),
    },
    "handshake_summary": {
        "attempts": _count("ended in the span, and pending"),
        "pending": _count("attempts not decided yet"),
        "oldest_pending_us": _count("age of the oldest that is pending", null=True),
        "oldest_pending_at_least_us": _count(
            "a lower bound, if it is older than the tracer", null=True
        ),
        "outcomes": _counts("those that ended, by outcome"),
        "latency_us": _spread("latency of those that succeeded and have a known one"),
        **_at_least("latency"),
        "latency_from": _EVENTS["handshake"]["latency_from"],
        "rtt_us": _spread("the kernel's first measure"),
        "syn_retransmits": _count("SYNs or SYN-ACKs sent again"),
        "syncookies": _count("handshakes finished by a SYN cookie"),
    },
    "accept_summary": {
        "accepts": _count("connections taken"),
        "failed": {**_counts("calls that took none, by errno"), "type": ["object", "null"]},
        "wait_us": _spread("from finished to accepted, of those with a known one"),
        **_at_least("wait"),
        "reset_in_queue": _count("connections reset before they were accepted", null=True),
        "never_accepted": _count(
            "connections that ended unaccepted, with their listener", null=True
        ),
        "waiting": _count("in the accept queue now", null=True),
        "oldest_waiting_us": _count("age of the oldest that waits", null=True),
        "oldest_waiting_at_least_us": _count("a lower bound, if older than the tracer", null=True),
    },
    "listener": {
        **_LISTENER,
        "netns": _HEAD["netns"],
        "holders": _count("processes that hold the socket"),
        "reuseport": _flag("whether SO_REUSEPORT is set"),
        "defer_accept": _count("TCP_DEFER_ACCEPT; 0: off"),
        "fastopen": _flag("whether TCP_FASTOPEN is set"),
        "accept_queue": _count("waiting for accept() now", null=True),
        "accept_queue_peak": _traced("the most in the accept queue in the span"),
        "accept_queue_max": _count("limit of the accept queue, which holds one more"),
        "max_set_by": _one_of("what sets the accept queue's limit", "listen", "somaxconn", None),
        "full_us": _number("for how long the accept queue was full; null: not traced", null=True),
        "syn_queue": _count("half-open now", null=True),
        "syn_queue_peak": _count(
            "the most in the span; null: not traced, or not known which twin's", null=True
        ),
        "syn_queue_max": _count("limit of half-open ones"),
        "finished": _traced("handshakes finished"),
        "accepts": _traced("connections taken"),
        "reset_in_queue": _traced("connections reset before they were accepted"),
        "never_accepted": _traced("connections that ended unaccepted, with their listener"),
        "overflows": _traced("times the accept queue was found full"),
        "syn_drops": DROPS_BY_CAUSE,
        "cookies_sent": _traced("SYNs answered with a cookie"),
        "opened": _moment("when it began to listen, if in the span", null=True),
        "closed": _moment("when it ceased to listen", null=True),
    },
    "port_use": PORT_USE,
    "finding": FINDING,
    "counter": COUNTER,
    **dict.fromkeys(("process", "peer", "cgroup", "netns"), CARRIED),
    **GROUPS,
    "reset_summary": schema_reset.SUMMARY,
    "listener_gap": schema_reset.GAP,
    "retransmit_summary": schema_resent.SUMMARY,
    "drop_summary": DROP_SUMMARY,
}
# keys that --by may add to a summary
_ANY: Schema = {
    "peer": _text("the other side, or its network", null=True),
    "raddr": _text("remote address", null=True),
    "laddr": _text("local address", null=True),
    "netns": _count("inode of the network namespace", null=True),
    "family": {"enum": [4, 6, None], "description": "of the packets; null: not known"},
    **{name: _HEAD[name] for name in ("rport", "lport", "pid", "comm", "cgroup", "container")},
}
_KEYS: dict[str, Schema] = {
    "state_summary": _ANY,
    **dict.fromkeys(("process", "peer", "cgroup", "netns"), _ANY),
    "listener_summary": {**_ANY, "listener": _text("address and port, where it is a key")},
    "connection_summary": {**_ANY, **GROUP_KEYS},
    "reset_summary": {**_ANY, **schema_reset.KEYS},
    "retransmit_summary": {**_ANY, **schema_resent.KEYS},
    "drop_summary": _ANY | BY,
    "handshake_summary": {"role": _EVENTS["handshake"]["role"], **_ANY},
    "probe": {
        "expected": _count("events that the self-test made"),
        "found": _count("those of them that were told"),
        "surplus": _count("events that were told and not made"),
    },
    "accept_summary": {
        **_LISTENER,
        **_PROCESS,
        **_ANY,
    },
}
_OTHERS: dict[str, Schema] = {
    "lost": _LOST,
    "term": TERM,
    "device_drop": DEVICE_DROP | {"ts": _SUMMARY["ts"]},
    "reconciliation": {
        "ts": _SUMMARY["ts"],
        "netns": _count("inode of the network namespace; 0: of all that were looked at"),
        "counter": _text("the kernel's name of the counter"),
        "kernel": _of("integer", "how far it moved in the span, and at its edges"),
        "explained": _of("integer", "how much of `kernel` what was told explains"),
        "edge": _count("of `kernel`, what moved while the span began and ended: told of or not"),
        "unexplained": _of("integer", "the rest, where the edge does not explain it"),
    },
    "probe": {
        "subject": _text("what doctor tells of"),
        "attach": _text("how its programs are attached, and where"),
        "status": _one_of("how well that goes here", "works", "degraded", "impossible", "unknown"),
        "why": _text("why no better way is open"),
        "costs": _text("what it takes, or what is missing without it"),
    },
    "capability": {
        "name": _text("by the kernel's name"),
        "purpose": _text("what the capability is for"),
        "have": _flag("whether this process has it"),
        "needed": _flag("whether tcptrace must have it"),
    },
}
KINDS = (*_EVENTS, "connection", *_SUMMARIES, *_OTHERS)


def schema(kind: str) -> Schema:
    """JSON Schema of one kind of record, of KINDS. Errors: KeyError."""
    if kind in _EVENTS:
        members = _HEAD | _EVENTS[kind]
    elif kind == "connection":
        members = _HEAD | CONNECTION | {name: _SUMMARY[name] for name in ("span_us", "total")}
    elif kind in _SUMMARIES:
        members = _SUMMARY | _SUMMARIES[kind]
    else:
        members = _OTHERS[kind]
    # a connection that ended is an event; of those that are open, or of the longest, a block tells
    optional = ("span_us", "total") if kind == "connection" else ()
    named = {"kind": {"const": kind}}
    return {
        "$schema": _DIALECT,
        "title": kind,
        "type": "object",
        "properties": named | members | _KEYS.get(kind, {}),
        "required": ["kind", *(name for name in members if name not in optional)],
        "additionalProperties": False,
    }
