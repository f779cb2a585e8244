"""A tracer in a PID namespace of its own: what runs outside is called what it is called."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.harness import ROOT, namespace
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in

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
