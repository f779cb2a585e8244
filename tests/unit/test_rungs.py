"""What the declarations of tracer/probes/ promise to the rest."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from tracer.cli import means
from tracer.kernel import features, kernel_btf
from tracer.kernel.account import MAKERS
from tracer.kernel.ladder import ATTACH
from tracer.kernel.libbpf import LinkInfo
from tracer.probes import ACCEPT, ANSWER, HANDSHAKE, REQUEST, SYN_DROP, URING

NO_TRAMPOLINES = "not supported: lockdown, or no trampolines"


def test_skipped_runs_are_counted_of_every_program_that_makes_records() -> None:
    programs = {
        program
        for subject in (ACCEPT, ANSWER, HANDSHAKE, REQUEST, SYN_DROP, URING)
        for rung in subject.rungs
        for program in rung.programs
        # what these miss is told with the next packet
        if (subject, rung.how) != (SYN_DROP, "kprobe")
    }
    assert programs <= MAKERS


def test_what_a_kprobe_missed_is_where_the_kernel_writes_it() -> None:
    """struct bpf_link_info, include/uapi/linux/bpf.h."""
    assert LinkInfo.missed.offset == 48
    assert LinkInfo.perf_type.offset == 16


def test_what_attach_takes_is_a_rung_of_something() -> None:
    assert ("auto", *ATTACH) == means.ATTACH
    hows = {rung.how for subject in (ACCEPT, HANDSHAKE, SYN_DROP) for rung in subject.rungs}
    assert set(ATTACH.values()) == hows


@pytest.mark.parametrize(("loaded_is_attached", "why"), [(True, ""), (False, NO_TRAMPOLINES)])
def test_fexit_is_refused_where_it_is_loaded_and_not_attached(
    monkeypatch: pytest.MonkeyPatch, loaded_is_attached: bool, why: str
) -> None:
    """As by arm64 before Linux 6.4."""
    library = SimpleNamespace(
        bpf_prog_load=lambda *arguments: os.open(os.devnull, os.O_RDONLY),
        bpf_raw_tracepoint_open=lambda *arguments: -524,
    )
    monkeypatch.setattr(features, "lib", lambda: library)
    monkeypatch.setattr(kernel_btf, "hook", lambda *arguments: 1)
    monkeypatch.setattr(features, "_LOADED_IS_ATTACHED", loaded_is_attached)
    assert features.refusal.__wrapped__("fexit", "tcp_conn_request") == why
