"""Connections made through io_uring belong to who asked for them, whichever thread made them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.harness import namespace
from tests.programs.places import ADDRESS, PORT, build, server_in
from tests.programs.reading import CHILD_BIRTH, CHILD_END, CLIENT_LIFE, life, owned, owners
from tests.programs.watch import Watch

pytestmark = pytest.mark.kernel

COUNT = 7
ONE_CALL = len(CLIENT_LIFE) + len(CHILD_BIRTH) + 1 + len(CHILD_END)


@pytest.mark.parametrize("way", ["single", "async", "polled", "direct"])
def test_what_io_uring_connects_and_closes_belongs_to_who_asked_for_it(
    tmp_path: Path, way: str
) -> None:
    with namespace() as ns, server_in(ns) as server:
        with Watch(tmp_path, PORT, server.pid, netns=ns.name) as watch:
            command = [*ns.enter, str(build("uring_call")), way, ADDRESS, str(PORT), str(COUNT)]
            with subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as caller:
                assert caller.stdout
                pid = json.loads(caller.stdout.readline())["pid"]
                ports = json.loads(caller.stdout.readline())["did"]
                server.do("accept_waiting", listener="l")
                watch.look(
                    {pid: {"ESTABLISHED": COUNT}, server.pid: {"LISTEN": 1, "ESTABLISHED": COUNT}}
                )
                caller.communicate(timeout=20)
            assert caller.returncode == 0
            assert server.do("receive_all")["bytes"] == [0] * COUNT
            server.do("let_go")
            watch.stop(COUNT * ONE_CALL)
        records = watch.records()
        assert len(ports) == COUNT
        for local in ports:
            found = owners(life(records, local, PORT))
            # what a slot holds is closed with the ring, after its process
            how = "exited" if way == "direct" else "process"
            assert found[:3] == owned(CLIENT_LIFE[:2], pid) + owned(CLIENT_LIFE[2:3], pid, how)
            assert [(name, who) for name, who, _ in found] == [(n, pid) for n in CLIENT_LIFE]
        mine = [r for r in records if r["rport"] == PORT]
        assert {r["comm"] for r in mine} == {"uring_call"}
        # its own threads are it: what others do on its behalf is not theirs
        assert {r["oncpu_pid"] for r in mine if r["new"] == "SYN_SENT"} == {pid}
        assert {r["oncpu_pid"] for r in records} >= {pid, server.pid}
        shown = watch.records("--pid", str(pid))
        assert len(shown) == COUNT * len(CLIENT_LIFE)
        assert {who for _, who in watch.counted(server.pid)} == {server.pid}
        assert {(n, who) for n, who in watch.counted() if n in CLIENT_LIFE} == {
            (n, pid) for n in CLIENT_LIFE
        }
