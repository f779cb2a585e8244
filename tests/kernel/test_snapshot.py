"""`states` shows the sockets that are there, state by state, as `ss` does."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.harness import COMMAND, ROOT, Namespace, Record, Tracer, namespace, wait_until
from tests.programs.driver import Program
from tests.programs.places import ADDRESS, PORT, server_in
from tests.schemas import checked

pytestmark = pytest.mark.kernel

HELD, LEFT, WAITED, UNTAKEN = 7, 11, 13, 5
TICKS_US = 20_000  # one that a bound is less, and one of rounding, at 100 a second
# the names of ss, in its own spelling
OURS = {"LISTEN": "LISTEN", "ESTAB": "ESTABLISHED", "TIME-WAIT": "TIME_WAIT"} | {
    name: name.replace("-", "_")
    for name in ("CLOSE-WAIT", "FIN-WAIT-1", "LAST-ACK", "CLOSING", "SYN-SENT")
}
OURS["FIN-WAIT-2"] = "FIN_WAIT2"


def by_ss(ns: Namespace) -> Counter[str]:
    lines = ns.run("ss", "-Htan").splitlines()
    return Counter(OURS[line.split()[0]] for line in lines)


def by_us(records: list[Record]) -> Counter[str]:
    told: Counter[str] = Counter()
    for record in records:
        told.update(record["now"])
    return told


@pytest.fixture
def leak() -> Iterator[tuple[Namespace, Program, Program]]:
    """A server that holds on to what its clients closed, and never takes the last of them."""
    with namespace() as ns, server_in(ns) as server, Program("tt-client", ns.enter) as client:
        client.do("hold", address=ADDRESS, port=PORT, count=LEFT)
        server.do("accept_waiting", listener="l")
        client.do("let_go")
        client.do("hold", address=ADDRESS, port=PORT, count=UNTAKEN)
        client.do("let_go")
        client.do("hold", address=ADDRESS, port=PORT, count=HELD)
        with server_in(ns, PORT + 1) as other:
            other.tell("serve", listener="l")
            client.do("call", address=ADDRESS, port=PORT + 1, count=WAITED)
            other.stop()
        wait_until(lambda: by_ss(ns)["CLOSE_WAIT"] == LEFT + UNTAKEN, "their FINs to be known")
        yield ns, server, client


@pytest.mark.guest("sockets", "iter")
def test_every_state_has_as_many_sockets_as_ss_finds(
    leak: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = leak
    with Tracer("states", "--netns", ns.name) as tracer:
        records = tracer.stop()
        witness = by_ss(ns)
    told = by_us(records)
    assert told == witness
    # a client that closed towards one that holds on is no TIME_WAIT
    assert (told["FIN_WAIT2"], told["TIME_WAIT"]) == (LEFT + UNTAKEN, WAITED)


def test_a_state_asked_for_is_the_one_that_ss_finds(
    leak: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = leak
    with Tracer("states", "--netns", ns.name, "--state", "fin-wait2") as tracer:
        records = tracer.stop()
    assert by_us(records) == {"FIN_WAIT2": LEFT + UNTAKEN}


def now(*arguments: str) -> list[Record]:
    command = [*COMMAND, "states", "--now", *arguments, "-j"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return checked(done.stdout.splitlines())


@pytest.mark.guest("holders", "iter")
def test_without_tracing_every_state_has_as_many_sockets_as_ss_finds(
    leak: tuple[Namespace, Program, Program],
) -> None:
    ns, server, client = leak
    records, witness = now("--netns", ns.name), by_ss(ns)
    assert by_us(records) == witness
    by_pid = {record["pid"]: record for record in records}
    assert by_pid[server.pid]["now"] == {
        "LISTEN": 1,
        "CLOSE_WAIT": LEFT + UNTAKEN,
        "ESTABLISHED": HELD,
    }
    assert by_pid[server.pid]["unaccepted"] == {"CLOSE_WAIT": UNTAKEN, "ESTABLISHED": HELD}
    assert by_pid[client.pid]["now"] == {"ESTABLISHED": HELD}
    assert by_pid[None]["now"] == {"FIN_WAIT2": LEFT + UNTAKEN, "TIME_WAIT": WAITED}


def test_without_tracing_what_would_take_it_is_unknown(
    leak: tuple[Namespace, Program, Program],
) -> None:
    ns, server, _ = leak
    for record in now("--netns", ns.name):
        assert (record["opened"], record["closed"], record["failed"]) == (None, None, None)
        assert record["transitions"] == []
        assert "CLOSE_WAIT" not in record["oldest_us"]
    (mine,) = now("--netns", ns.name, "--pid", str(server.pid))
    assert mine["oldest_us"]["ESTABLISHED"] > 0


def test_without_tracing_rows_are_grouped_as_with_it(
    leak: tuple[Namespace, Program, Program],
) -> None:
    ns, _, _ = leak
    records = now("--netns", ns.name, "--by", "lport", "--state", "established")
    (served,) = [record for record in records if record["lport"] == PORT]
    assert served["now"] == {"ESTABLISHED": HELD}
    assert len(records) == 1 + HELD


def longest_unheard_of_us(ns: Namespace) -> int:
    """Since anything was received, of what is in CLOSE_WAIT: by ss, which counts in ms."""
    told = ns.run("ss", "-Htin", "state", "close-wait")
    return max(int(ms) * 1000 for ms in re.findall(r"lastack:(\d+)", told))


@pytest.mark.parametrize("traced", [False, True])
def test_in_close_wait_is_at_least_what_has_received_nothing_for_so_long(
    leak: tuple[Namespace, Program, Program], traced: bool
) -> None:
    ns, server, _ = leak
    wait_until(lambda: longest_unheard_of_us(ns) > 300_000, "them to be old enough to tell")
    before_us = longest_unheard_of_us(ns)
    if traced:
        with Tracer("states", "--netns", ns.name) as tracer:
            records = tracer.stop()
    else:
        records = now("--netns", ns.name)
    after_us = longest_unheard_of_us(ns)
    (mine,) = (r for r in records if r["kind"] == "state_summary" and r["pid"] == server.pid)
    assert "CLOSE_WAIT" not in mine["oldest_us"]
    assert before_us - TICKS_US <= mine["oldest_at_least_us"]["CLOSE_WAIT"] <= after_us
