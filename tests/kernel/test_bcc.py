"""The other back end: the same sources through BCC tell the same, with the same owners.

A program takes BCC seconds, so there are few of these. That it tells what the rest of the tests
want can be tried with `TCPTRACE_BACKEND=bcc pytest tests/kernel/test_handshakes.py`, and likewise
with test_syn_drops.py: see tests/README.md for what it does not serve.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs import laddered
from tests.programs.driver import Program
from tests.programs.headers import make_headers, without_btf
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import CHILD_LIFE, CLIENT_LIFE, step, stop_after
from tests.schemas import checked

pytestmark = pytest.mark.kernel

COUNT = 53
KINDS = "state,accept,handshake"
BACK_ENDS = ("core", "bcc")
# of a connection: both sides' transitions and handshakes, and its accept
EACH = len(CLIENT_LIFE) + len(CHILD_LIFE) + 2


def facts(records: list[Record]) -> Counter[tuple[object, ...]]:
    """What both must tell of a workload, and how often; not what is measured, nor the cookies."""
    return Counter(
        tuple(
            record.get(name)
            for name in (
                *("kind", "pid", "comm", "owner_is", "family", "laddr", "lport", "raddr", "rport"),
                *("old", "new", "timewait", "role", "outcome", "errno", "listener_port"),
                *("listener_pid", "precision", "cgroup"),
            )
        )
        for record in records
    )


def test_through_bcc_the_same_is_told_of_the_same_connections_with_the_same_owners() -> None:
    with namespace() as ns, ExitStack() as stack:
        client = stack.enter_context(Program("tt-client", ns.enter))
        # older than both
        server = stack.enter_context(server_in(ns))
        tracers = [
            stack.enter_context(
                Tracer("events", "--kind", KINDS, "--netns", ns.name, "--backend", which)
            )
            for which in BACK_ENDS
        ]
        server.tell("serve", listener="l")
        client.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
        server.stop()
        client.do("begin", name="c", address=ADDRESS, port=PORT)
        # its listener ends, and the last attempt begins and fails
        told = [stop_after(tracer, COUNT * EACH + 4) for tracer in tracers]
    assert facts(told[1]) == facts(told[0])


def test_a_listener_younger_than_the_tracer_that_its_opener_lets_go_of_is_its_heirs() -> None:
    with (
        namespace() as ns,
        Program("tt-client", ns.enter) as client,
        Program("tt-activator", ns.enter) as first,
        Tracer("events", "--kind", "state", "--netns", ns.name, "--backend", "bcc") as tracer,
    ):
        first.do("bind", name="l", address=ADDRESS, port=PORT)
        first.do("listen", name="l", backlog=1000)
        service = first.fork()
        first.do("close", name="l")

        def is_the_heirs() -> bool:
            client.do("hold", address=ADDRESS, port=PORT, count=1)
            return (service.pid, "listener") in owners_of_births(tracer.so_far())

        wait_until(is_the_heirs, "a connection that is the heir's")
    assert set(owners_of_births(tracer.records)) == {
        (first.pid, "listener"),
        (service.pid, "listener"),
    }


def test_with_types_from_btf_every_subject_counts_what_the_kernel_counts() -> None:
    """The same with the kernel's own headers: test_bcc_headers.py."""
    kinds = f"{KINDS},syn_drop"

    def tracing(ns: Namespace) -> Tracer:
        return Tracer("events", "--netns", ns.name, "--kind", kinds, "--backend", "bcc")

    told = laddered.see(tracing, laddered.has_late_ones)
    for check in (
        laddered.check_every_transition,
        laddered.check_older_listeners,
        laddered.check_every_accept,
        laddered.check_names,
        laddered.check_every_attempt,
        laddered.check_late_handshakes,
        laddered.check_every_dropped,
    ):
        check(told)


def births(records: list[Record]) -> list[Record]:
    """Where a listener's child begins."""
    return [record for record in records if step(record) == "LISTEN SYN_RECV"]


def owners_of_births(records: list[Record]) -> list[tuple[int, str]]:
    """Who owns each, and as what."""
    return [(record["pid"], record["owner_is"]) for record in births(records)]


UNDESTROYED = """
import runpy, sys
from tracer.kernel import bcc_ladder
bcc_ladder._RUNGS["state"] = ("raw_tp", ("tt_state", "tt_state_nested"))
sys.argv[:] = sys.argv[3:]
runpy.run_module("tracer", run_name="__main__")
"""


def test_a_child_is_not_taken_for_one_before_it_whose_end_was_not_seen() -> None:
    """As where the kernel hides some: nothing is heard of any that is destroyed."""
    blind = [sys.executable, "-c", UNDESTROYED]
    # nothing makes room
    tracing = ("events", "--kind", "state", "--backend", "bcc", "--sockets", "1000000")
    with (
        namespace() as ns,
        Program("tt-client", ns.enter) as client,
        server_in(ns) as server,
        Tracer(*tracing, "--netns", ns.name, prefix=blind) as tracer,
    ):
        server.tell("serve", listener="l")
        client.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
        server.stop()
        found = births(stop_after(tracer, COUNT * (EACH - 3)))
    assert len({record["cookie"] for record in found}) == len(found) == COUNT


def test_without_btf_the_same_is_told_by_the_kernels_headers(tmp_path: Path) -> None:
    make_headers(tmp_path)
    with namespace() as ns, Program("tt-client", ns.enter) as client, ExitStack() as stack:
        tracing = ("events", "--kind", KINDS, "--netns", ns.name)
        core = stack.enter_context(Tracer(*tracing, "--backend", "core"))
        auto = stack.enter_context(Tracer(*tracing, prefix=without_btf(tmp_path)))
        with server_in(ns) as server:
            server.tell("serve", listener="l")
            client.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
            server.stop()
        told = [stop_after(tracer, COUNT * EACH + 2) for tracer in (core, auto)]
    assert facts(told[1]) == facts(told[0])


def told_by_doctor(prefix: list[str]) -> dict[str, Record]:
    """What doctor finds, by subject."""
    done = subprocess.run(
        [*prefix, *COMMAND, "doctor", "-j"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    records = checked(done.stdout.splitlines())
    return {record["subject"]: record for record in records if record["kind"] == "probe"}


def test_without_btf_doctor_calls_possible_what_there_is_through_bcc_with_headers(
    tmp_path: Path,
) -> None:
    make_headers(tmp_path)
    found = told_by_doctor(without_btf(tmp_path))
    served = {name for name, record in found.items() if record["status"] == "degraded"}
    assert served == {*KINDS.split(","), "syn_drop", "synack", "task", "owners"}
    assert {found[name]["status"] for name in found.keys() - served} == {"impossible"}
    assert found["state"]["attach"] == "bcc:raw_tp"


def test_without_btf_and_headers_doctor_says_what_is_missing(tmp_path: Path) -> None:
    found = told_by_doctor(without_btf(tmp_path))
    assert {record["status"] for record in found.values()} == {"impossible"}
    assert found["state"]["why"] == "needs BTF, or BCC; missing: the headers of this kernel"
    assert found["drop"]["why"] == "needs BTF"


def test_without_btf_and_headers_the_package_of_the_headers_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [*without_btf(tmp_path), *COMMAND, "events", "-q"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 69
    assert f"apt-get install linux-headers-{os.uname().release}" in done.stderr
