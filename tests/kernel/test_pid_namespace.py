"""A tracer in a PID namespace of its own: what runs outside is called what it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import COMMAND, ROOT, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel
# traces those of one name; looks over all processes when it is told to; says what matched
TRACING = """
import sys
from tracer.kernel.live import LiveSource
from tracer.kernel.settings import Settings
from tracer.wire.filters import Filters

source = LiveSource(Settings(filters=Filters(comms=("tt-outside",))))
print("ready", flush=True)
sys.stdin.readline()
source.look_at_holders()
print("looked", flush=True)
sys.stdin.readline()
matched = source._account._read_stats()["matched"]
print(int(matched[:, source.layout.enums["kind"]["HANDSHAKE"]].sum()), flush=True)
source.close()
"""


def test_a_look_from_inside_does_not_forget_the_names_of_processes_outside() -> None:
    with namespace() as ns, server_in(ns):
        tracing = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", TRACING],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert tracing.stdin
        assert tracing.stdout
        try:
            assert tracing.stdout.readline() == "ready\n"
            with Program("tt-outside", ns.enter) as caller:
                tracing.stdin.write("look\n")
                tracing.stdin.flush()
                assert tracing.stdout.readline() == "looked\n"
                caller.do("connect", name="c", address=ADDRESS, port=PORT)
                said, _ = tracing.communicate("tell\n", timeout=30)
        finally:
            tracing.kill()
            tracing.wait()
    assert said == "1\n"


INSIDE = ("unshare", "--pid", "--fork", "--mount-proc", *COMMAND)


def test_whom_nobody_inside_can_see_is_unknown_and_not_the_kernel(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with (
        namespace() as ns,
        server_in(ns) as server,
        Program("tt-outside", ns.enter) as caller,
        subprocess.Popen(
            [
                *(*INSIDE, "events", "-j", "--netns", ns.name, "--kind", "handshake,accept"),
                *("-c", "3", "--ready-file", str(ready)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as tracing,
    ):
        wait_until(ready.exists, "the tracer to be ready")
        caller.do("connect", name="c", address=ADDRESS, port=PORT)
        server.do("accept", name="s", listener="l")
        said, notices = tracing.communicate(timeout=60)
        told = {
            (r["kind"], r.get("role")): (r["owner_is"], r["comm"], r["pid"])
            for r in checked(said.splitlines())
        }
        # who acts is seen, and has no PID in there; who held the listener before is not
        assert told == {
            ("handshake", "active"): ("process", "tt-outside", None),
            ("handshake", "passive"): ("unknown", None, None),
            ("accept", None): ("process", f"tt-server-{PORT}", None),
        }
        assert "processes outside it have no PID here" in notices


def test_a_look_from_inside_says_what_it_cannot_see() -> None:
    with namespace() as ns, server_in(ns), Program("tt-outside", ns.enter) as caller:
        caller.do("connect", name="c", address=ADDRESS, port=PORT)
        done = subprocess.run(
            [*INSIDE, "connections", "--open", "-j", "--netns", ns.name],
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=True,
        )
    told = checked(done.stdout.splitlines())
    assert len(told) == 2
    assert {(r["owner_is"], r["comm"], r["pid"]) for r in told} == {("unknown", None, None)}
    assert "processes outside it have no PID here" in done.stderr
