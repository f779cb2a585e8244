"""What is traced: one declaration a subject, and the list of them all.

A subject names the programs of bpf/probes/ that serve it and the ways to attach them, best first;
which one this kernel takes is found by trying (tracer/kernel/features.py), never by its version.
"""

from __future__ import annotations

from tracer.probes.accept import ACCEPT
from tracer.probes.base import Rung, Subject
from tracer.probes.drop import DROP
from tracer.probes.error import ERROR
from tracer.probes.handshake import COOKIES, HANDSHAKE, REQUEST, SYNACK, UNRECORDED
from tracer.probes.reset import ANSWER, RESET
from tracer.probes.retransmit import RETRANSMIT
from tracer.probes.snapshot import CONNECTIONS, HOLDERS, LISTENERS, OWNERS, SOCKETS
from tracer.probes.state import STATE
from tracer.probes.syn_drop import SYN_DROP
from tracer.probes.task import TASK
from tracer.probes.uring import URING

PROBES: tuple[Subject, ...] = (
    STATE,
    ACCEPT,
    URING,
    HANDSHAKE,
    SYNACK,
    REQUEST,
    COOKIES,
    UNRECORDED,
    RETRANSMIT,
    SYN_DROP,
    RESET,
    ANSWER,
    ERROR,
    DROP,
    TASK,
    OWNERS,
    SOCKETS,
    CONNECTIONS,
    HOLDERS,
    LISTENERS,
)

__all__ = [
    "ACCEPT",
    "ANSWER",
    "CONNECTIONS",
    "COOKIES",
    "DROP",
    "ERROR",
    "HANDSHAKE",
    "HOLDERS",
    "LISTENERS",
    "OWNERS",
    "PROBES",
    "REQUEST",
    "RESET",
    "RETRANSMIT",
    "SOCKETS",
    "STATE",
    "SYNACK",
    "SYN_DROP",
    "TASK",
    "UNRECORDED",
    "URING",
    "Rung",
    "Subject",
]
