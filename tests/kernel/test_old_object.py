"""The object for kernels before 5.12 tells the same here, where the other would be chosen."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest

from tests.harness import COMMAND, ROOT, TRANSITIONS, Namespace, Tracer
from tests.programs import laddered
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.programs.reading import CHILD_LIFE, CLIENT_LIFE, stop_after, tally

pytestmark = pytest.mark.kernel

COUNT = 53
OLD = [COMMAND[0], "-m", "tests.programs.old_tracer"]


def old_tracer(*arguments: str) -> Tracer:
    made = Tracer(*arguments)
    made.arguments[: len(COMMAND)] = OLD
    return made


def test_every_transition_is_told_once_by_a_number_of_its_socket(ns: Namespace) -> None:
    with server_in(ns) as server, Program("tt-client", ns.enter) as client:
        with old_tracer(*TRANSITIONS, "--netns", ns.name) as tracer:
            server.tell("serve", listener="l")
            made = client.do("call", address=ADDRESS, port=PORT, count=COUNT)["ports"]
            assert server.stop()["peers"] == made
            records = stop_after(tracer, COUNT * (len(CLIENT_LIFE) + len(CHILD_LIFE)))
        counters = ns.counters()
    expected = Counter({(name, client.pid): COUNT for name in CLIENT_LIFE})
    expected += Counter({(name, server.pid): COUNT for name in CHILD_LIFE})
    assert tally(records) == expected
    assert tracer.counts["lost"] == 0
    assert counters["TcpActiveOpens"] == counters["TcpPassiveOpens"] == COUNT
    opened = [r["cookie"] for r in records if r["kind"] == "state" and r["new"] == "SYN_SENT"]
    assert len(set(opened)) == COUNT
    # numbers in place of cookies, which the other object would have told
    assert all(int(cookie, 16) >= 1 << 63 for cookie in opened)


def test_what_is_open_has_its_owner_without_tracing(ns: Namespace) -> None:
    with server_in(ns) as server, Program("tt-client", ns.enter) as client:
        client.do("hold", address=ADDRESS, port=PORT, count=7)
        server.do("accept_some", listener="l", count=7)
        command = [*OLD, "connections", "--open", "--netns", ns.name, "-j"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    owners = Counter(row["pid"] for row in rows if row["kind"] == "connection")
    assert owners == {client.pid: 7, server.pid: 7}


def test_whatever_the_ladder_is_tried_with_is_told_where_arguments_are_read_from_the_stack() -> (
    None
):
    def tracing(ns: Namespace) -> Tracer:
        kinds = "state,accept,handshake,connection"
        return old_tracer("events", "--netns", ns.name, "--kind", kinds, "--attach", "tracepoint")

    told = laddered.see(tracing, laddered.has_late_ones)
    laddered.check_every_transition(told)
    laddered.check_older_listeners(told)
    laddered.check_every_accept(told)
    laddered.check_names(told)
    laddered.check_every_attempt(told)
