"""The seam between the two back ends: the same sources, through BCC, see the same transitions."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.harness import ROOT, Tracer, namespace
from tests.programs.bcc_build import make_headers, make_source
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import CHILD_LIFE, CLIENT_LIFE, stop_after
from tracer.kernel.features import tells_peers
from tracer.wire.btf import Btf
from tracer.wire.layout import Layout, derive

pytestmark = pytest.mark.kernel

COUNT = 53
DEBIAN_PYTHON = "/usr/bin/python3"
OBJECT = ROOT / "tracer/_bpf/tcptrace.bpf.o"


def test_bcc_and_core_tell_of_the_same_transitions_with_the_same_ports(tmp_path: Path) -> None:
    layout = derive(Btf.load(OBJECT))
    source = make_source(
        tmp_path,
        kinds=1 << layout.enums["kind"]["STATE"],
        stream=1,
        needs_tuple=1,
        last_place=65535,
        hold_children=int(not tells_peers()),
    )
    environment = os.environ | {"BCC_KERNEL_SOURCE": str(make_headers(tmp_path))}
    with (
        namespace() as ns,
        Program("tt-client", ns.enter) as client,
        # first: it gives out the cookies, which BCC's programs can only read
        Tracer("events", "--kind", "state", "--netns", ns.name) as tracer,
        subprocess.Popen(
            [DEBIAN_PYTHON, str(ROOT / "tests/programs/bcc_run.py"), str(source)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as bcc,
    ):
        assert bcc.stdout
        assert bcc.stdout.readline() == "ready\n", bcc.communicate(timeout=60)[1]
        with server_in(ns) as server:
            server.tell("serve", listener="l")
            client.do("call", address=ADDRESS, port=PORT, count=COUNT, half=True)
            server.stop()
        # all but the accept, and the listener's two
        records = stop_after(tracer, 2 + COUNT * (len(CLIENT_LIFE) + len(CHILD_LIFE) - 1))
        said, complaint = bcc.communicate(timeout=60)
        assert bcc.returncode == 0, complaint
        inode = ns.inode
    core = Counter((r["old"], r["new"], r["lport"], r["rport"], r["family"]) for r in records)
    assert read(said, layout, inode) == core


def read(said: str, layout: Layout, netns: int) -> Counter[tuple[object, ...]]:
    """What BCC's side sent of this namespace, as JSON has it."""
    dtype = layout.dtypes["state"]
    raw = b"".join(bytes.fromhex(line)[: dtype.itemsize] for line in said.split())
    rows = np.frombuffer(raw, dtype)
    rows = rows[rows["netns"] == netns]
    names = {value: name for name, value in layout.enums["tcp_state"].items()}
    columns = (rows[name].tolist() for name in ("old", "new", "lport", "rport", "family"))
    return Counter(
        (names[old], names[new], lport or None, rport or None, family)
        for old, new, lport, rport, family in zip(*columns, strict=True)
    )
