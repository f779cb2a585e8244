"""Looks at many namespaces: those without a socket are passed over, and no socket is."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack

import pytest

from tests.harness import COMMAND, ROOT, Record, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, inside, server_in
from tests.schemas import checked
from tracer.kernel import sockstat

pytestmark = pytest.mark.kernel

EMPTY = 40


def now(*arguments: str) -> list[Record]:
    command = [*COMMAND, *arguments, "-j"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0, done.stderr
    return checked(done.stdout.splitlines())


def test_what_is_alone_in_its_namespace_is_found_among_many_that_are_empty() -> None:
    """A listener of IPv6, what is in TIME_WAIT alone, what nobody holds any more."""
    with ExitStack() as stack:
        spaces = [stack.enter_context(namespace()) for _ in range(EMPTY)]
        six, waits, orphan = spaces[3], spaces[17], spaces[-1]
        stack.enter_context(server_in(six, PORT, "::1"))
        for space in (waits, orphan):
            server = stack.enter_context(server_in(space))
            client = stack.enter_context(Program("tt-client", space.enter))
            client.do("connect", name="c", address=ADDRESS, port=PORT)
            server.do("accept", name="s", listener="l")
            client.do("close", name="c")
            if space is waits:
                server.do("receive", name="s")
                server.do("close", name="s")
            server.do("close", name="l")
        wait_until(lambda: waits.run("ss", "-Htan").startswith("TIME-WAIT"), "TIME_WAIT alone")
        assert len(waits.run("ss", "-Htan").splitlines()) == 1
        assert not inside(spaces[0], sockstat.may_have_any)
        names = ",".join(space.name for space in spaces)
        found: dict[int, dict[str, int]] = {}
        for record in now("states", "--now", "--by", "netns", "--netns", names):
            found[record["netns"]] = record["now"]
        by_ss = {space.inode: len(space.run("ss", "-Htan").splitlines()) for space in spaces}
        alone = six.inode, waits.inode, orphan.inode
    assert {inode: sum(states.values()) for inode, states in found.items()} == {
        inode: count for inode, count in by_ss.items() if count
    }
    assert [found[inode] for inode in alone] == [
        {"LISTEN": 1},
        {"TIME_WAIT": 1},
        {"FIN_WAIT2": 1, "CLOSE_WAIT": 1},
    ]
