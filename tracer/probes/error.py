"""Errors that applications are told of (bpf/probes/error.bpf.c)."""

from tracer.probes.base import Rung, Subject

ERROR = Subject(
    name="error",
    kinds=("error",),
    tells="each error of a socket that its application is told of",
    rungs=(
        Rung(
            how="tp_btf",
            targets=("inet_sk_error_report",),
            programs=("tt_error_reported",),
        ),
    ),
    without="errors are told with the handshakes and connections that they end, not by themselves",
)
